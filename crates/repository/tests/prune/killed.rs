//! Prunes that are killed, at each of their calls, and resumed.

use crate::scene::{Points, prune};
use crate::support::killing::Killing;
use crate::support::{Bucket, Fixture, noise};

/// A domain that has everything a prune may meet: what is needed, what is not, and packs that are mostly dead.
async fn domain() -> (Fixture, Points) {
    let fixture = Fixture::new().await;
    let (mut points, domain) = (Points::default(), fixture.domain().await);
    let kept = noise(600_000, 1);
    points.publish(&domain, "a", [kept.clone(), noise(15_000_000, 2)].concat()).await;
    points.publish(&domain, "b", [kept, noise(50_000, 3)].concat()).await;
    points.publish(&domain, "c", noise(300_000, 4)).await;
    points.remove(&domain, "a").await;
    (fixture, points)
}

const TIMES: [i64; 3] = [0, 24, 48];

fn leftovers(bucket: &Bucket) -> (usize, usize, u64) {
    let packs = bucket.keys("/packs/");
    let bytes = packs.iter().map(|key| bucket.object(key).len() as u64).sum();
    (packs.len(), bucket.keys("/lists/").len(), bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prune_that_is_killed_at_any_call_loses_nothing_and_is_resumed() {
    let (fixture, points) = domain().await;
    let reference = fixture.bucket.copy();
    for hours in TIMES {
        prune(&fixture, reference.clone(), hours).await.unwrap();
    }
    points.assert_intact(&fixture, &reference).await;
    let (packs, lists, bytes) = leftovers(&reference);

    let mut kills = 0;
    for carried_out in [false, true] {
        for calls in 0.. {
            let bucket = fixture.bucket.copy();
            let store = Killing::new(&bucket, calls, carried_out);
            for hours in TIMES {
                if prune(&fixture, store.clone(), hours).await.is_err() {
                    break;
                }
            }
            if !store.died() {
                break;
            }
            kills += 1;
            points.assert_intact(&fixture, &bucket).await;
            // Resumed by runs at later times, until nothing is left to do.
            for hours in [72, 96, 120, 144] {
                prune(&fixture, bucket.clone(), hours).await.unwrap();
            }
            points.assert_intact(&fixture, &bucket).await;
            let left = leftovers(&bucket);
            assert!(left.0 <= packs + 1 && left.1 == lists, "{calls} {carried_out}: {left:?} {packs} {lists}");
            assert!(left.2 <= bytes + 1_000, "{calls} {carried_out}: {} bytes, not {bytes}", left.2);
        }
    }
    println!("killed {kills} times");
    assert!(kills >= 24, "{kills}");
}
