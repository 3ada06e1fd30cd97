//! One story, two tests: the same tale on each home of the log.

/// Makes two tests of each story, `<its name>::embedded` and `<its name>::postgres`. A story gets a running
/// [`Directory`](crate::Directory) with an empty log; when it has ended, the harness checks the log and clears up.
/// The list stands at the top of a file, as its table of contents; a story that is not listed is dead code, and so refused.
///
/// ```ignore
/// stories! {
///     r12_an_account_has_an_administrator_from_the_start,
/// }
///
/// async fn r12_an_account_has_an_administrator_from_the_start(directory: &Directory) {
///     let acme = Tenant::create(directory, "acme").await;
///     assert_eq!(acme.administrator.status(), pb::UserStatus::Active);
/// }
/// ```
#[macro_export]
macro_rules! stories {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                let directory = $crate::Directory::start($crate::Home::Embedded).await;
                super::$name(&directory).await;
                directory.finish().await;
            }

            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let directory = $crate::Directory::start($crate::Home::Postgres).await;
                super::$name(&directory).await;
                directory.finish().await;
            }
        }
    )*};
}
