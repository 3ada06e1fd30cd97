//! The two tables: all events of an aggregate, and all commands it takes.

/// Makes the enum of an aggregate's events from one line each: variant, content and name are the same word. Events that
/// nothing is remembered of are of no aggregate.
macro_rules! event_set {
    ($(#[$meta:meta])* $set:ident for $aggregate:ty { $($(#[$note:meta])* $event:ident,)+ }) => {
        $crate::domain::event_set! { $(#[$meta])* $set { $($(#[$note])* $event,)+ } }

        impl $set {
            pub(crate) fn apply_to(self, at: $crate::domain::Timestamp, aggregate: &mut $aggregate) {
                match self {
                    $(Self::$event(event) => $crate::domain::Apply::apply(event, at, aggregate),)+
                }
            }
        }
    };
    ($(#[$meta:meta])* $set:ident { $($(#[$note:meta])* $event:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub enum $set {
            $(#[doc = concat!("See [`type@", stringify!($event), "`].")] $(#[$note])* $event($event),)+
        }

        impl $crate::domain::EventSet for $set {
            const NAMES: &'static [&'static str] = &[$(stringify!($event),)+];

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$event(_) => stringify!($event),)+
                }
            }

            fn version(&self) -> &'static str {
                "1"
            }

            fn read<'de, M: serde::de::MapAccess<'de>>(
                name: &'static str,
                map: &mut M,
            ) -> Result<Self, M::Error> {
                match name {
                    $(stringify!($event) => map.next_value().map(Self::$event),)+
                    other => Err(serde::de::Error::unknown_variant(other, Self::NAMES)),
                }
            }
        }

        $(
            impl From<$event> for $set {
                fn from(event: $event) -> Self {
                    Self::$event(event)
                }
            }
        )+
    };
}

/// Makes the enum of an aggregate's commands from one line each, and hands each to its own decision.
macro_rules! command_set {
    ($(#[$meta:meta])* $set:ident for $aggregate:ty { $($command:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $set {
            $(#[doc = concat!("See [`type@", stringify!($command), "`].")] $command($command),)+
        }

        impl $set {
            /// The names of all commands.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($command),)+];

            /// The command's name.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$command(_) => stringify!($command),)+
                }
            }
        }

        impl $crate::domain::Decide for $set {
            type Aggregate = $aggregate;

            fn reads(
                &self,
                account: &$crate::account::Account,
                aggregate: &$aggregate,
            ) -> $crate::domain::Reads {
                match self {
                    $(Self::$command(command) => command.reads(account, aggregate),)+
                }
            }

            fn decide(
                self,
                ctx: &$crate::domain::Context<'_>,
                aggregate: &$aggregate,
            ) -> Result<
                $crate::domain::Decision<$aggregate>,
                <$aggregate as cqrs_es::Aggregate>::Error,
            > {
                match self {
                    $(Self::$command(command) => command.decide(ctx, aggregate),)+
                }
            }
        }

        $(
            impl From<$command> for $set {
                fn from(command: $command) -> Self {
                    Self::$command(command)
                }
            }
        )+
    };
}

pub(crate) use {command_set, event_set};
