//! What is the same run, and how long that is known.

use super::*;
use crate::answer::Kind;

fn receipt(connection: u64, packet: u16) -> Option<Receipt> {
    Some(Receipt { connection, packet })
}

struct Site(Runs, Topics);

impl Site {
    fn new(most: usize, most_bytes: usize) -> Self {
        Site(
            Runs::new(most, most_bytes),
            Topics::new("p").expect("a prefix"),
        )
    }

    fn admit(
        &mut self,
        id: Option<&str>,
        text: &str,
        receipt: Option<Receipt>,
        is_again: bool,
    ) -> Admitted {
        let arrived = Arrived {
            action: "a",
            id: id.map(str::to_owned),
            message: Digest::of(text.as_bytes()),
            target: Target::default(),
            receipt,
            is_again,
        };
        self.0.admit(arrived, &self.1)
    }

    fn new_run(&mut self, id: Option<&str>, text: &str, receipt: Option<Receipt>) -> u64 {
        match self.admit(id, text, receipt, false) {
            Admitted::New(number, _) => number,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_run_that_comes_again_is_acknowledged_with_the_first_and_answered_from_its_answer() {
    let mut site = Site::new(10, 100);
    let run = site.new_run(Some("7"), "x", receipt(1, 5));
    assert_eq!(
        site.admit(Some("7"), "x", receipt(2, 9), true),
        Admitted::Known
    );
    let answer = Answer::result(b"{}".to_vec());
    let published = site.0.finish(run, &answer);
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].topic, "p/activation/7/result");
    assert_eq!(published[0].surely, Surely::Answers(run));
    let receipts: Vec<_> = [receipt(1, 5), receipt(2, 9)]
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(site.0.answered(run), receipts);
    match site.admit(Some("7"), "x", receipt(3, 1), true) {
        Admitted::Answered(again) => assert_eq!(again.payload, answer.payload),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        site.0.answered(run),
        receipt(3, 1).into_iter().collect::<Vec<_>>()
    );
    // The same id with another message is another run.
    assert!(matches!(
        site.admit(Some("7"), "y", None, false),
        Admitted::New(..)
    ));
}

#[test]
fn without_an_id_the_packet_that_is_sent_again_is_the_same_run() {
    let mut site = Site::new(10, 100);
    site.new_run(None, "x", receipt(1, 5));
    assert_eq!(site.admit(None, "x", receipt(2, 5), true), Admitted::Known);
    // Not sent again, another packet, another message, and none at all.
    site.new_run(None, "x", receipt(2, 5));
    site.new_run(None, "x", receipt(2, 6));
    site.new_run(None, "y", receipt(2, 5));
    site.new_run(None, "x", None);
    site.new_run(None, "x", None);
}

#[test]
fn no_more_is_remembered_than_asked_and_nothing_forgotten_that_is_not_over() {
    let mut site = Site::new(2, 10);
    let waiting = site.new_run(Some("0"), "x", receipt(1, 1));
    for n in 1..=5 {
        let run = site.new_run(Some(&n.to_string()), "x", None);
        site.0.finish(run, &Answer::result(b"{}".to_vec()));
        site.0.answered(run);
    }
    assert_eq!(site.0.entries.len(), 3);
    site.new_run(Some("3"), "x", None);
    assert!(matches!(
        site.admit(Some("4"), "x", None, false),
        Admitted::Answered(_)
    ));
    // An answer that is larger than all that may be kept.
    site.0.finish(waiting, &Answer::result(vec![b' '; 11]));
    assert_eq!(site.0.answered(waiting).len(), 1);
    assert!(site.0.over.is_empty() && site.0.over_bytes == 0);
    site.new_run(Some("0"), "x", None);
    assert_eq!(site.0.by_key.len(), 2);
}

#[test]
fn one_that_is_refused_or_dropped_is_another_when_it_comes_again() {
    let mut site = Site::new(10, 100);
    let run = site.new_run(None, "x", receipt(1, 5));
    let full = Answer::error("The queue is full.", Kind::Host);
    let published = site.0.refuse(run, &full);
    assert_eq!(published[0].properties[0], ("kind", "host".to_owned()));
    assert!(matches!(
        site.admit(None, "x", receipt(2, 5), true),
        Admitted::New(..)
    ));
    assert_eq!(site.0.answered(run).len(), 1);
    let run = site.new_run(Some("7"), "x", receipt(1, 5));
    site.0.drop(run);
    site.new_run(Some("7"), "x", receipt(2, 5));
}

#[test]
fn one_run_is_answered_to_so_many_and_no_more() {
    let mut site = Site::new(10, 100);
    let mut admit = |n: usize| {
        let target = Target {
            topic: Some("answers".into()),
            correlation: Some(n.to_be_bytes().into()),
        };
        let arrived = Arrived {
            action: "a",
            id: Some("7".into()),
            message: Digest::of(b"x"),
            target,
            receipt: receipt(1, 5),
            is_again: false,
        };
        site.0.admit(arrived, &site.1)
    };
    assert!(matches!(admit(0), Admitted::New(1, _)));
    for n in 1..MAX_TARGETS {
        assert_eq!(admit(n), Admitted::Known);
    }
    assert!(matches!(admit(MAX_TARGETS), Admitted::Crowded(_, Some(_))));
    // It is no other by coming again.
    assert_eq!(admit(0), Admitted::Known);
    let answer = Answer::result(b"{}".to_vec());
    assert_eq!(site.0.finish(1, &answer).len(), MAX_TARGETS);
}
