//! The session over streams that the test cuts at will, on a paused clock.

mod double;

use std::sync::Arc;
use std::time::Duration;

use haulier_domain::failure::Failure;
use haulier_proto::common::v1 as common;
use haulier_proto::worker::v1 as wire;
use haulier_proto::worker::v1::attach_request::Message as Outgoing;
use haulier_proto::worker::v1::attach_response::Message;
use haulier_proto::worker::v1::event::Event;
use haulier_proto::worker::v1::finished;
use tokio::time::Instant;
use tonic::Status;

use self::double::{Board, Script, assignment, credentials, event_text};
use super::{Ending, PATIENCE};
use crate::desk::Severity;
use crate::postgres::Stopped;
use crate::session::Report;

fn finished(event: wire::Event) -> finished::Result {
    match event.event {
        Some(Event::Finished(wire::Finished { result: Some(result) })) => result,
        other => panic!("not an end: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_goes_from_greeting_to_shutdown() {
    let mut board = Board::start(Script::Ends(Report {
        warnings: vec!["a remark".into()],
        document: b"{}".to_vec(),
        proposal: Some(b"root".to_vec()),
    }));
    let mut stream = board.accept().await;
    let hello = stream.welcome(0).await;
    assert!(!hello.has_assignment);
    assert_eq!(hello.postgresql_majors, [15, 16]);
    stream.say(Message::Assignment(assignment("pnt-1"))).await;
    stream.say(Message::Credentials(credentials("first"))).await;
    let proposed = stream.event().await;
    assert!(matches!(proposed.event, Some(Event::PointProposed(wire::PointProposed { root })) if root == b"root"));
    let finished::Result::Done(done) = finished(stream.event().await) else { panic!("not done") };
    assert_eq!(done.warnings, ["a remark"]);
    stream.say(Message::Acknowledge(wire::Acknowledge { sequence: 2 })).await;
    stream.say(Message::Shutdown(wire::Shutdown {})).await;
    assert_eq!(board.end().await, Ending::Shutdown);
    assert!(board.session.desk().is_clear());
}

#[tokio::test(start_paused = true)]
async fn a_cut_stream_is_resumed_and_only_what_was_not_safe_is_repeated() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    stream.say(Message::Credentials(credentials("first"))).await;
    stream.say(Message::Assignment(assignment("pnt-1"))).await;
    let desk = board.running().await.desk;
    for text in ["one", "two", "three"] {
        desk.log(Severity::Info, text);
    }
    for text in ["one", "two", "three"] {
        assert_eq!(event_text(&stream.event().await), text);
    }
    // The second is acknowledged on the old stream, the third is stored but its acknowledgement is lost with the stream.
    stream.say(Message::Acknowledge(wire::Acknowledge { sequence: 2 })).await;
    drop(stream);
    desk.log(Severity::Info, "while away");

    let mut stream = board.accept().await;
    let hello = stream.welcome(3).await;
    assert!(hello.has_assignment);
    let event = stream.event().await;
    assert_eq!((event.sequence, event_text(&event)), (4, "while away"));
    drop(stream);

    // The last one was never acknowledged: it comes again, with its number.
    let mut stream = board.accept().await;
    stream.welcome(3).await;
    let event = stream.event().await;
    assert_eq!((event.sequence, event_text(&event)), (4, "while away"));
    stream.say(Message::Assignment(assignment("pnt-1"))).await;
    desk.log(Severity::Info, "five");
    assert_eq!(stream.event().await.sequence, 5);
    assert!(!board.task().cancel.is_cancelled(), "the job goes on through cuts");
}

#[tokio::test(start_paused = true)]
async fn an_unacknowledged_event_is_repeated_on_the_next_stream() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    board.session.desk().log(Severity::Info, "one");
    assert_eq!(stream.event().await.sequence, 1);
    drop(stream);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    assert_eq!(stream.event().await.sequence, 1);
}

#[tokio::test(start_paused = true)]
async fn progress_comes_at_most_four_times_a_second() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    stream.say(Message::Credentials(credentials("first"))).await;
    stream.say(Message::Assignment(assignment("pnt-1"))).await;
    let desk = board.running().await.desk;
    desk.phase("data");
    let mover = tokio::spawn(async move {
        for _ in 0..10_000 {
            desk.moved(1_000);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut shown = Vec::new();
    while shown.last().is_none_or(|(_, progress): &(Instant, common::Progress)| progress.bytes_read < 10_000_000) {
        if let Outgoing::Progress(progress) = stream.next().await {
            shown.push((Instant::now(), progress));
        }
    }
    mover.await.unwrap();
    assert!((30..=50).contains(&shown.len()), "{} in ten seconds", shown.len());
    for pair in shown.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(249), "{:?}", pair[1].0 - pair[0].0);
        assert!(pair[1].1.bytes_read > pair[0].1.bytes_read);
    }
    let rate = shown[shown.len() / 2].1.rate;
    assert!((400_000..=1_000_000).contains(&rate), "{rate} bytes a second");
}

#[tokio::test(start_paused = true)]
async fn progress_is_dropped_and_events_are_kept_where_the_connection_is_slow() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    let desk = board.session.desk().clone();
    // Nobody reads for a minute.
    for number in 0..240 {
        desk.moved(1);
        desk.log(Severity::Info, &format!("line {number}"));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let (mut progress, mut events) = (0, 0);
    while events < 240 {
        match stream.next().await {
            Outgoing::Progress(_) => progress += 1,
            Outgoing::Event(event) => {
                events += 1;
                assert_eq!(event.sequence, events);
            }
            _ => {}
        }
    }
    assert!(progress < 20, "{progress} late figures");
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_sends_heartbeats() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    let start = Instant::now();
    for _ in 0..5 {
        assert!(matches!(stream.next().await, Outgoing::Heartbeat(_)));
    }
    assert_eq!(start.elapsed().as_secs(), 8, "five at 2 s, the first at once");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_job_within_two_seconds_whether_or_not_it_obeys() {
    for script in [Script::Runs, Script::Stubborn] {
        let mut board = Board::start(script);
        let mut stream = board.accept().await;
        stream.welcome(0).await;
        stream.say(Message::Credentials(credentials("first"))).await;
        stream.say(Message::Assignment(assignment("pnt-1"))).await;
        board.running().await;
        let start = Instant::now();
        stream.say(Message::Cancel(wire::Cancel { reason: "asked".into() })).await;
        stream.end_of_cancel().await;
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_has_something_to_remove_is_given_time_and_says_so() {
    for (takes, ends) in [(5, 5), (300, 20)] {
        let mut board = Board::start(Script::Tidies(Duration::from_secs(takes)));
        let mut stream = board.accept().await;
        stream.welcome(0).await;
        stream.say(Message::Credentials(credentials("first"))).await;
        stream.say(Message::Assignment(assignment("pnt-1"))).await;
        board.running().await;
        let start = Instant::now();
        stream.say(Message::Cancel(wire::Cancel { reason: "asked".into() })).await;
        assert!(event_text(&stream.event().await).starts_with("stopping:"));
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        let (lines, left) = stream.end_of_cancel().await;
        assert_eq!(start.elapsed().as_secs(), ends);
        assert_eq!(lines.iter().any(|line| line.contains("broken off")), ends < takes, "{lines:?}");
        assert_eq!(left.is_some(), ends < takes, "what was broken off says what it may have left");
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_be_remembered_is_safe_once_it_is_acknowledged() {
    let mut board = Board::start(Script::Runs);
    let desk = board.session.desk().clone();
    desk.safe().await;
    desk.part_restored(wire::PartRestored { database: "shop".into(), ..Default::default() });
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    let event = stream.event().await;
    assert!(matches!(event.event, Some(Event::PartRestored(part)) if part.database == "shop"));
    assert!(tokio::time::timeout(Duration::from_secs(30), desk.safe()).await.is_err(), "nobody has acknowledged it");
    stream.say(Message::Acknowledge(wire::Acknowledge { sequence: event.sequence })).await;
    desk.safe().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_cancelled_job_leaves_is_said_and_other_failures_are_lines() {
    for (code, said) in [("restore-left-behind", true), ("db-connection-lost", false)] {
        let failure = Failure::new(code, "dropping a database", "it is a template", "drop it by hand");
        let mut board = Board::start(Script::CannotTidy(failure));
        let mut stream = board.accept().await;
        stream.welcome(0).await;
        stream.say(Message::Credentials(credentials("first"))).await;
        stream.say(Message::Assignment(assignment("pnt-1"))).await;
        board.running().await;
        stream.say(Message::Cancel(wire::Cancel { reason: "asked".into() })).await;
        let (lines, left) = stream.end_of_cancel().await;
        assert_eq!(left.map(|failure| failure.code), said.then(|| code.to_owned()));
        assert_eq!(lines.iter().any(|line| line.contains("it is a template")), !said, "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancel_before_the_assignment_means_that_none_begins() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    stream.say(Message::Cancel(wire::Cancel { reason: "asked".into() })).await;
    stream.say(Message::Credentials(credentials("first"))).await;
    stream.say(Message::Assignment(assignment("pnt-1"))).await;
    // It vouches for nothing that an earlier worker has left.
    let cancelled = wire::Cancelled { left: None, not_begun: true };
    assert_eq!(finished(stream.event().await), finished::Result::Cancelled(cancelled));
    stream.say(Message::Shutdown(wire::Shutdown {})).await;
    assert_eq!(board.end().await, Ending::Shutdown);
    assert_eq!(board.starts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_a_panic_both_end_in_a_failure() {
    let failure = Failure::new("db-auth-failed", "logging in", "wrong password", "change it");
    let cases = [
        (Script::Fails(Stopped::Failed(failure)), "db-auth-failed"),
        (Script::Fails(Stopped::Cancelled), "worker-internal-error"),
        (Script::Panics, "worker-internal-error"),
    ];
    for (script, code) in cases {
        let mut board = Board::start(script);
        let mut stream = board.accept().await;
        stream.welcome(0).await;
        stream.say(Message::Assignment(assignment("pnt-1"))).await;
        stream.say(Message::Credentials(credentials("first"))).await;
        let finished::Result::Failure(failure) = finished(stream.event().await) else { panic!("no failure") };
        assert_eq!(failure.code, code);
        let said = failure.cause.contains("a database may be there") && failure.remedy.contains("drop it");
        assert_eq!(said, failure.cause.contains("panic"), "a panic cannot tidy up: {failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_one_assignment_ever() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    stream.say(Message::Credentials(credentials("first"))).await;
    for point in ["pnt-1", "pnt-1", "pnt-2"] {
        stream.say(Message::Assignment(assignment(point))).await;
    }
    assert_eq!(event_text(&stream.event().await), "a second, different assignment was refused");
    board.running().await;
    assert_eq!(board.starts(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_older_epoch_and_another_session_are_not_obeyed() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    let shutdown = || Message::Shutdown(wire::Shutdown {});
    stream.say_as("ses-1", double::EPOCH - 1, shutdown()).await;
    stream.say_as("ses-2", double::EPOCH, shutdown()).await;
    // A newer one is obeyed, and from then on its predecessor is not.
    stream.say_as("ses-1", double::EPOCH + 1, Message::Acknowledge(wire::Acknowledge { sequence: 0 })).await;
    stream.say(shutdown()).await;
    double::settled().await;
    board.session.desk().log(Severity::Info, "still here");
    assert_eq!(event_text(&stream.event().await), "still here");
    assert_eq!(stream.last_epoch, double::EPOCH + 1);
    stream.say_as("ses-1", double::EPOCH + 1, shutdown()).await;
    assert_eq!(board.end().await, Ending::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_replaced_in_place_and_never_leave_in_a_text() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    stream.say(Message::Assignment(assignment("pnt-1"))).await;
    stream.say(Message::Credentials(credentials("first"))).await;
    let task = board.running().await;
    assert_eq!(double::access_key(&task.credentials).await, "first");
    stream.say(Message::Credentials(credentials("second"))).await;
    double::settled().await;
    task.desk.log(Severity::Info, "the server said: secret-of-second, token-of-first, enrolment-token");
    let text = event_text(&stream.event().await).to_owned();
    assert_eq!(text, "the server said: [redacted], [redacted], [redacted]");
    assert_eq!(double::access_key(&task.credentials).await, "second");

    stream.say(Message::Credentials(wire::Credentials::default())).await;
    assert!(event_text(&stream.event().await).contains("refused"));
    assert_eq!(double::access_key(&task.credentials).await, "second");
}

#[tokio::test(start_paused = true)]
async fn an_absent_coordinator_is_waited_for_as_long_as_it_has_asked() {
    let mut board = Board::start(Script::Runs);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    stream.say(Message::Credentials(credentials("first"))).await;
    stream.say(Message::Assignment(assignment("pnt-1"))).await;
    let task = board.running().await;
    board.hang_up();
    drop(stream);
    let cut = Instant::now();
    // Shortly before the end of its patience the job still runs.
    tokio::time::sleep(double::PATIENCE - Duration::from_secs(5)).await;
    assert!(!task.cancel.is_cancelled());
    assert_eq!(board.end().await, Ending::CoordinatorLost);
    let waited = cut.elapsed();
    assert!((double::PATIENCE..double::PATIENCE + Duration::from_secs(1)).contains(&waited), "{waited:?}");
    board.session.stop().await;
    assert!(task.cancel.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_never_greets_is_lost_too() {
    let mut board = Board::start(Script::Runs);
    let start = Instant::now();
    let mut streams = Vec::new();
    let end = loop {
        match board.accept_or_end().await {
            Ok(stream) => streams.push(stream),
            Err(end) => break end,
        }
    };
    assert_eq!(end, Ending::CoordinatorLost);
    assert!(streams.len() > 5, "{} attempts", streams.len());
    assert!((PATIENCE..PATIENCE + Duration::from_secs(1)).contains(&start.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_cannot_is_asked_again_and_one_that_will_not_is_not() {
    let mut board = Board::start(Script::Runs);
    board.accept().await.fail(Status::unavailable("starting")).await;
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    stream.fail(Status::unavailable("stopping")).await;
    board.accept().await.fail(Status::permission_denied("another worker has this session")).await;
    assert_eq!(board.end().await, Ending::Refused("another worker has this session".into()));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_outlives_the_session_is_not_waited_for_long() {
    let mut board = Board::start(Script::Stubborn);
    let mut stream = board.accept().await;
    stream.welcome(0).await;
    stream.say(Message::Credentials(credentials("first"))).await;
    stream.say(Message::Assignment(assignment("pnt-1"))).await;
    board.running().await;
    stream.say(Message::Shutdown(wire::Shutdown {})).await;
    assert_eq!(board.end().await, Ending::Shutdown);
    let (start, session) = (Instant::now(), Arc::clone(&board.session));
    session.stop().await;
    assert!(start.elapsed() <= Duration::from_secs(3), "{:?}", start.elapsed());
}
