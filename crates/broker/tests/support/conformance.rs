//! Runs each law of a suite against each broker. A macro, so a suite includes this file by itself.
//!
//! Tests of one broker stand together, since tests run in the order of their names: servers that take
//! seconds to start are shared by those that run at the same time.

macro_rules! conformance {
    ($($law:ident)*) => {
        conformance!(@broker memory, $($law)*);
        conformance!(@broker standalone, $($law)*);
        conformance!(@broker paced, $($law)*);
        conformance!(@broker sentinel, $($law)*);
        conformance!(@broker cluster, $($law)*);
    };
    (@broker $broker:ident, $($law:ident)*) => {
        mod $broker {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                super::$law(crate::support::cluster::$broker()).await;
            })*
        }
    };
}
