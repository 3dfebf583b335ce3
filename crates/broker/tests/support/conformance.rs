//! Runs each law of a suite against each broker. A macro, so a suite includes this file by itself.

macro_rules! conformance {
    ($($law:ident)*) => {
        $(conformance!(@law $law, memory standalone sentinel cluster);)*
    };
    (@law $law:ident, $($broker:ident)*) => {
        mod $law {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $broker() {
                super::$law(crate::support::cluster::$broker()).await;
            })*
        }
    };
}
