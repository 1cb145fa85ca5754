//! Any port behind a switchboard of faults.

mod buckets;
mod compute;
mod databases;
mod object_store;
mod others;

use std::future::Future;
use std::sync::Arc;

use super::faults::{Fault, Faults, error_of};
use crate::error::Result;

/// A port whose calls go through a switchboard. `P` is the port: `Faulty<dyn Compute>`, `Faulty<MemoryObjectStore>`.
#[derive(Debug)]
pub struct Faulty<P: ?Sized> {
    inner: Arc<P>,
    faults: Faults,
}

impl<P: ?Sized> Faulty<P> {
    /// Puts the switchboard before the port.
    pub fn new(inner: Arc<P>, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// A call that changes something, or answers with something that must be there.
    async fn call<T>(&self, operation: &'static str, target: &str, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.run(operation, target, false, call, || None).await
    }

    /// A call that reads what may not be there; `nothing` is the answer of a service that does not know of it yet.
    async fn read<T>(
        &self,
        operation: &'static str,
        target: &str,
        nothing: impl FnOnce() -> T,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.run(operation, target, true, call, || Some(nothing())).await
    }

    async fn run<T>(
        &self,
        operation: &'static str,
        target: &str,
        reads: bool,
        call: impl Future<Output = Result<T>>,
        nothing: impl FnOnce() -> Option<T>,
    ) -> Result<T> {
        match self.faults.take(operation, target, reads) {
            None => call.await,
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Stale) => nothing().ok_or_else(|| error_of(Fault::Lost, operation, target)),
            Some(Fault::After) => {
                // Whatever it answers, the caller never hears of it.
                drop(call.await);
                Err(error_of(Fault::After, operation, target))
            }
            Some(fault) => Err(error_of(fault, operation, target)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::doubles::{MemoryObjectStore, Rule};
    use crate::error::ErrorKind;
    use crate::object_store::ObjectStore as _;

    fn store() -> (Faults, Faulty<MemoryObjectStore>) {
        let faults = Faults::new();
        (faults.clone(), Faulty::new(Arc::new(MemoryObjectStore::new()), faults))
    }

    #[tokio::test]
    async fn faults_differ_in_what_happened_and_in_what_is_known() {
        let cases = [
            (Fault::Before(ErrorKind::Denied), false, false),
            (Fault::Throttle, false, false),
            (Fault::Lost, true, false),
            (Fault::After, true, true),
        ];
        for (fault, indeterminate, took_effect) in cases {
            let (faults, store) = store();
            faults.add(Rule::once("PutObject", fault));
            let error = store.put_new("key", Bytes::new()).await.unwrap_err();
            assert_eq!(error.is_indeterminate(), indeterminate, "{fault:?}");
            assert_eq!(store.head("key").await.unwrap().is_some(), took_effect, "{fault:?}");
            assert_eq!(faults.fired(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_is_given_up_by_the_caller() {
        let (faults, store) = store();
        faults.add(Rule::once("PutObject", Fault::Hang));
        let call = store.put_new("key", Bytes::new());
        assert!(tokio::time::timeout(std::time::Duration::from_secs(60), call).await.is_err());
        assert_eq!(store.head("key").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_rule_skips_counts_and_ends() {
        let (faults, store) = store();
        faults.add(Rule::once("PutObject", Fault::Throttle).after_calls(1).times(2));
        let mut outcomes = Vec::new();
        for key in ["a", "b", "c", "d"] {
            outcomes.push(store.put_new(key, Bytes::new()).await.is_ok());
        }
        assert_eq!(outcomes, [true, false, false, true]);
    }

    #[tokio::test]
    async fn a_rule_may_hit_one_target_only() {
        let (faults, store) = store();
        faults.add(Rule::once("*", Fault::Throttle).on("b").always());
        assert!(store.put_new("a", Bytes::new()).await.is_ok());
        assert!(store.put_new("b", Bytes::new()).await.is_err());
        assert!(store.get("b").await.is_err());
        faults.clear();
        assert!(store.put_new("b", Bytes::new()).await.is_ok());
    }

    #[tokio::test]
    async fn a_stale_read_sees_nothing_and_a_write_is_not_touched() {
        let (faults, store) = store();
        faults.add(Rule::once("*", Fault::Stale));
        store.put_new("a", Bytes::new()).await.unwrap();
        assert_eq!(store.head("a").await.unwrap(), None);
        assert!(store.head("a").await.unwrap().is_some());
    }
}
