//! Random sequences of steps that the service and a model of it live through.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::Runtime;

use crate::{Directory, Home};

/// Lets the service and a model live through the same, sequence after sequence, each in an account of its own.
///
/// # Panics
/// Where they differ, with a sequence that is cut down to a short one.
pub fn live_through<S: std::fmt::Debug>(
    home: Home,
    cases: u32,
    steps: impl Strategy<Value = Vec<S>>,
    live: &impl AsyncFn(&Directory, &str, &[S]) -> Result<(), TestCaseError>,
) {
    let runtime = Runtime::new().unwrap();
    let directory = runtime.block_on(Directory::start(home));
    let accounts = Cell::new(0_u32);
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::with_cases(cases)
    };
    TestRunner::new(config)
        .run(&steps, |steps| {
            accounts.set(accounts.get() + 1);
            let account_id = format!("model-{}", accounts.get());
            runtime.block_on(live(&directory, &account_id, &steps))
        })
        .unwrap_or_else(|differ| panic!("{differ}"));
    runtime.block_on(directory.finish());
}
