//! Long lives: a user with a great many events is as right as any other, whatever became of its snapshot.

use std::path::Path;
use std::time::Duration;

use rollbook_tests::directory::Views;
use rollbook_tests::{Answer as _, Directory, Home, Tenant, ask, pb};

/// How many snapshots there are; none where the file cannot be read just now.
fn snapshots(data_dir: &Path) -> i64 {
    let path = data_dir.join("views/snapshots-v1.sqlite");
    rusqlite::Connection::open(path)
        .and_then(|connection| {
            connection.query_row("SELECT count(*) FROM snapshots", [], |row| row.get(0))
        })
        .unwrap_or(0)
}

async fn until_there_are(directory: &Directory, count: i64) {
    let data_dir = directory.process().data_dir().to_owned();
    while snapshots(&data_dir) != count {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn blockers(acme: &Tenant, user_id: &str) -> usize {
    acme.admin
        .users()
        .check_user_deletion(ask!(acme, CheckUserDeletionRequest { user_id }))
        .await
        .answer()
        .blockers
        .len()
}

async fn live_long(home: Home) {
    let directory = Directory::start(home).await;
    let acme = Tenant::create(&directory, "acme").await;
    let user_id = acme.clerk("OTTO").await.user_id;
    let company_id = &acme.companies[0];
    for number in 0..520 {
        let queued = ask!(
            acme,
            ReportInvoiceQueuedRequest {
                company_id,
                user_id: &user_id,
                invoice_id: format!("INV-{number}")
            }
        );
        acme.service
            .involvements()
            .report_invoice_queued(queued)
            .await
            .answer();
    }
    until_there_are(&directory, 1).await;
    assert_eq!(blockers(&acme, &user_id).await, 520);

    // A process that never commanded the user has only its snapshot; one whose disk was lost has none.
    let mut directory = directory;
    for views in [Views::Kept, Views::Lost] {
        directory = directory.restarted(views).await;
        let acme = acme.at(directory.process());
        assert_eq!(blockers(&acme, &user_id).await, 520, "{views:?}");
    }
    until_there_are(&directory, 1).await;
    let acme = acme.at(directory.process());
    for number in 0..520 {
        let dequeued = ask!(
            acme,
            ReportInvoiceDequeuedRequest {
                company_id,
                user_id: &user_id,
                invoice_id: format!("INV-{number}")
            }
        );
        acme.service
            .involvements()
            .report_invoice_dequeued(dequeued)
            .await
            .answer();
    }
    let deleted = acme
        .admin
        .users()
        .delete_user(ask!(acme, DeleteUserRequest { user_id: &user_id }))
        .await
        .answer();
    assert_eq!(deleted.user.unwrap().status(), pb::UserStatus::Deleted);
    until_there_are(&directory, 0).await;
    directory.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r24_what_needs_a_user_with_a_long_life_is_told_in_full_embedded() {
    live_long(Home::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r24_what_needs_a_user_with_a_long_life_is_told_in_full_postgres() {
    live_long(Home::Postgres).await;
}
