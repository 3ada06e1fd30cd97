//! `rollbook user watch`: what happens to users, as it happens.

use clap::Args;
use rollbook_proto::v1::{Disclosure, UserChange, WatchUsersRequest};

use crate::cli::{
    client::Client,
    output::time,
    problem::Problem,
    views::{full_name, status_name},
};

/// Flags of `user watch`.
#[derive(Args, Debug)]
pub struct Watch {
    /// Position of the last change seen, to go on behind it; 0: from the beginning; from now on where none is given
    #[arg(long, value_name = "N")]
    from_position: Option<u64>,
    /// Only what ends sessions
    #[arg(long)]
    sessions_ended_only: bool,
    /// End when everything there is has been shown
    #[arg(long)]
    once: bool,
}

impl Watch {
    /// Shows changes until it is interrupted.
    pub async fn run(self, client: &Client) -> Result<(), Problem> {
        let request = WatchUsersRequest {
            account_id: client.any_account(),
            from_position: self.from_position,
            sessions_ended_only: self.sessions_ended_only,
        };
        let mut stream = client
            .users_without_deadline()
            .watch_users(request)
            .await?
            .into_inner();
        let mut position = None;
        loop {
            let piece = match stream.message().await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(()),
                Err(status) => {
                    if let Some(position) = position {
                        eprintln!(
                            "seen up to position {position}: --from-position {position} goes on from there"
                        );
                    }
                    return Err(status.into());
                }
            };
            for change in &piece.changes {
                client.output.show_line(change, || line(change))?;
            }
            position = Some(piece.position);
            if self.once && piece.caught_up {
                return Ok(());
            }
        }
    }
}

/// A change in one line.
fn line(change: &UserChange) -> String {
    let user = change.user.clone().unwrap_or_default();
    let who = match change.disclosure() {
        Disclosure::Shown | Disclosure::Unspecified => {
            format!("{} ({})", user.signature, full_name(&user))
        }
        Disclosure::Withheld => "(withheld)".to_owned(),
        Disclosure::Erased => "(erased)".to_owned(),
    };
    let ended = if change.sessions_ended {
        let from = time(user.sessions_valid_from.as_ref());
        format!("  sessions before {from} are over")
    } else {
        String::new()
    };
    format!(
        "{:>7}  {}  {}  {}  {who}  {}{ended}",
        change.position,
        time(change.recorded_at.as_ref()),
        change.event_type,
        user.user_id,
        status_name(user.status()),
    )
}

#[cfg(test)]
mod tests {
    use rollbook_proto::v1::{User, UserStatus};

    use super::*;

    #[test]
    fn r62_a_change_says_who_where_it_may_be_told() {
        let change = |disclosure: Disclosure| UserChange {
            position: 7,
            event_type: "UserLocked".into(),
            sessions_ended: true,
            user: Some(User {
                user_id: "0190".into(),
                signature: "BO".into(),
                status: UserStatus::LockedByAdmin.into(),
                ..User::default()
            }),
            disclosure: disclosure.into(),
            ..UserChange::default()
        };
        let shown = line(&change(Disclosure::Shown));
        assert!(
            shown.contains("BO") && shown.contains("are over"),
            "{shown}"
        );
        assert!(line(&change(Disclosure::Withheld)).contains("(withheld)"));
        assert!(line(&change(Disclosure::Erased)).contains("(erased)"));
    }
}
