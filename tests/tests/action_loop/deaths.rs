//! A loop that dies again and again: nobody gets another's answer, and the proxy is what it was.

use actionproxy_tests::{SENTINEL, census, eventually};
use serde_json::json;

use crate::{EXITED, OK, assert_answer, begin, builder, init};

/// Answers each question with itself, unless the question says otherwise.
const MORTAL: &str = "#!/bin/sh
while read -r line; do
    case $line in
        *exits*) exit 3 ;;
        *killed*) kill -KILL $$ ;;
        *half*) printf '{\"half\":' >&3; exit 0 ;;
        *closes*) exec 3>&-; exit 0 ;;
        *answers*) printf '%s\\n' \"$line\" >&3; exit 0 ;;
        *twice*) printf '%s\\n%s\\n' \"$line\" \"$line\" >&3 ;;
        *) printf '%s\\n' \"$line\" >&3 ;;
    esac
done
";

/// What is asked of it: most often nothing.
const ORDERS: [&str; 16] = [
    "exits", "killed", "half", "closes", "answers", "twice", "", "", "", "", "", "", "", "", "", "",
];

#[test]
fn a_thousand_runs_with_a_loop_that_dies_at_random() {
    let proxy = builder().arg("--allow-reinit").start();
    begin(&proxy, MORTAL);
    let (mut random, mut may_be_dead, mut deaths) = (11_u64, false, 0);
    let (mut descriptors, mut memory) = (0, 0);
    for n in 0..1000 {
        // Knuth's MMIX generator: the same order at every run.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let order = ORDERS[(random >> 60) as usize];
        let value = json!({ "n": n, "order": order });
        let answer = proxy.run(value.clone());
        let dies = ["exits", "killed", "half", "closes"].contains(&order);
        if may_be_dead || dies {
            // In this run or before it: at once, whichever.
            assert!(
                [400, 500].contains(&answer.status),
                "{n}: {}",
                answer.text()
            );
            assert_answer(&answer, answer.status, EXITED);
            assert_answer(&init(&proxy, MORTAL), 200, OK);
            (may_be_dead, deaths) = (false, deaths + 1);
        } else {
            let expected = json!({ "value": value }).to_string() + "\n";
            assert_answer(&answer, 200, &expected);
            may_be_dead = order == "answers";
        }
        if n == 200 {
            descriptors = census::descriptors(proxy.pid());
            memory = census::memory(proxy.pid());
        }
    }
    assert!(deaths > 200, "{deaths}");
    eventually("as many descriptors as before", || {
        (census::descriptors(proxy.pid()) <= descriptors).then_some(())
    });
    let after = census::memory(proxy.pid());
    assert!(after < memory + (2 << 20), "from {memory} to {after}");
    assert!(census::children(proxy.pid()).len() <= 1);
    let logs = proxy.unread();
    for stream in [logs.stdout, logs.stderr] {
        assert_eq!(stream.matches(SENTINEL).count(), 1000);
    }
}
