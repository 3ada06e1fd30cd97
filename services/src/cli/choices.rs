//! The values of the contract's enums as they are typed at the command line.

use clap::ValueEnum;
use rollbook_proto::v1;

macro_rules! choices {
    ($(#[$meta:meta])* $name:ident => $wire:ident { $($(#[$doc:meta])* $choice:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub enum $name {
            $($(#[$doc])* $choice,)*
        }

        impl $name {
            /// The value as it goes over the wire.
            #[must_use]
            pub fn wire(self) -> i32 {
                match self {
                    $(Self::$choice => v1::$wire::$choice.into(),)*
                }
            }
        }
    };
}

choices! {
    /// The type of a user.
    Type => UserType {
        /// Manages the account and has every module
        Administrator,
        /// Has the modules it is granted
        Standard,
    }
}

choices! {
    /// Whether users may sign in.
    Activity => Activity {
        /// Users who may sign in
        Active,
        /// Users who may not
        Inactive,
    }
}

choices! {
    /// How a user stands.
    Status => UserStatus {
        /// Registered, cannot sign in
        Inactive,
        /// Locked by an administrator
        LockedByAdmin,
        /// Locked by the system
        AutoLocked,
        /// A password reset was asked for
        Recovery,
        /// The password must be changed first
        AwaitingNewPassword,
        /// Added, onboarding not completed
        Provisioned,
        /// May sign in
        Active,
    }
}

choices! {
    /// The column that users are sorted by.
    Sort => UserSort {
        /// By signature
        Signature,
        /// By user name
        UserName,
        /// By first name
        FirstName,
        /// By last name
        LastName,
        /// By e-mail address
        Email,
        /// By status
        Status,
        /// By type
        UserType,
        /// By the first role
        Role,
        /// By when the user was added
        CreatedAt,
        /// By when the user was last modified
        ModifiedAt,
        /// By when the user signed in last
        LastSignedInAt,
    }
}

choices! {
    /// How a set is changed.
    Mode => SetMode {
        /// The set becomes what is given
        Replace,
        /// What is given is added
        Add,
        /// What is given is removed
        Remove,
    }
}

choices! {
    /// What to do where a replacement lacks the company.
    Missing => MissingCompany {
        /// Change nothing
        Refuse,
        /// Change everybody else
        Leave,
    }
}

choices! {
    /// What of a user's properties in a company is copied.
    Copied => CopiedProperties {
        /// All of them
        Everything,
        /// Whether the user is proposed as an addressee
        ShowAsAddressee,
        /// Its coding and routing allegiances
        Allegiances,
        /// Its supervisor
        Supervisor,
    }
}

choices! {
    /// What users sign in with.
    SignIn => Login {
        /// The e-mail address, which is then unique
        Email,
        /// The signature
        Signature,
    }
}

choices! {
    /// What was found out about a sign-in.
    Checked => CheckedSignIn {
        /// The user proved who it is
        Succeeded,
        /// It did not
        Failed,
    }
}

choices! {
    /// Who keeps and checks passwords.
    Passwords => PasswordAuthority {
        /// This directory
        Directory,
        /// Another system, such as Active Directory
        External,
    }
}

choices! {
    /// How passwords may be changed.
    Change => PasswordChange {
        /// In every way there is
        Any,
        /// Through a reset link only
        ByLinkOnly,
    }
}

choices! {
    /// How an invitation stands.
    InvitationState => InvitationStatus {
        /// Waits to be accepted
        Invited,
        /// Was accepted
        Accepted,
        /// Its term passed
        Expired,
        /// Was deleted
        Deleted,
    }
}

choices! {
    /// What a user did with an invoice.
    Review => ReviewKind {
        /// Reviewed it
        Reviewed,
        /// Attested it
        Attested,
    }
}

/// The wire value of a choice, or the contract's "not given".
#[must_use]
pub fn or_none<T: Copy>(choice: Option<T>, wire: fn(T) -> i32) -> i32 {
    choice.map_or(0, wire)
}
