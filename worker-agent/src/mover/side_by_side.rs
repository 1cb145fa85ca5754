//! Work that is done side by side and ends together: what fails first stops the rest, and is what is said.

use tokio_util::sync::CancellationToken;

use super::sinks::Stopped;

/// How many streams to move at once.
pub(crate) fn parallelism(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(2, std::num::NonZero::get) }
}

/// All results, or why there are not all: a failure says more than the cancellations it causes.
pub(crate) fn all_or_why<T>(results: Vec<Result<T, Stopped>>) -> Result<Vec<T>, Stopped> {
    let mut all = Vec::with_capacity(results.len());
    let mut cancelled = false;
    for result in results {
        match result {
            Ok(one) => all.push(one),
            Err(Stopped::Cancelled) => cancelled = true,
            Err(failed) => return Err(failed),
        }
    }
    if cancelled { Err(Stopped::Cancelled) } else { Ok(all) }
}

/// Runs work that must end at once when another part has failed, and stops the others when it fails itself.
pub(crate) async fn together<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Stopped>>,
) -> Result<T, Stopped> {
    let done = work.await;
    if done.is_err() {
        cancel.cancel();
    }
    done
}

#[cfg(test)]
mod tests {
    use haulier_domain::failure::Failure;

    use super::*;

    #[test]
    fn a_failure_says_more_than_the_cancellations_it_causes() {
        let failed = || Stopped::Failed(Failure::new("code", "what", "cause", "remedy"));
        assert_eq!(all_or_why(vec![Ok(1), Ok(2)]), Ok(vec![1, 2]));
        assert_eq!(all_or_why(vec![Ok(1), Err(Stopped::Cancelled)]), Err(Stopped::Cancelled));
        assert_eq!(all_or_why(vec![Err(Stopped::Cancelled), Err::<u8, _>(failed())]), Err(failed()));
    }

    #[tokio::test]
    async fn what_fails_stops_the_rest() {
        let cancel = CancellationToken::new();
        assert_eq!(together(&cancel, async { Ok(1) }).await, Ok(1));
        assert!(!cancel.is_cancelled());
        assert_eq!(together(&cancel, async { Err::<u8, _>(Stopped::Cancelled) }).await, Err(Stopped::Cancelled));
        assert!(cancel.is_cancelled());
    }
}
