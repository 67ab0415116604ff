//! Clients that do not wait for their answer.

use actionproxy_tests::request;
use serde_json::json;

use crate::{assert_silent, begin, builder, result, tell, told};

#[test]
fn the_answer_to_a_client_that_has_gone_reaches_nobody_else() {
    let mut proxy = builder().start();
    begin(
        &proxy,
        "#!/bin/bash\nread -r line; echo > $SCRATCH/begun; until [ -e $SCRATCH/go ]; do sleep 0.01; done\n\
         echo '{\"n\":1}' >&3\nread -r line; echo '{\"n\":2}' >&3\nread -r line\n",
    );
    let mut connection = proxy.connect();
    let whole = request("POST", "/run", b"{\"value\":{}}");
    connection.send(&whole).expect("it takes them");
    told(&proxy, "begun");
    drop(connection);
    tell(&proxy, "go");
    assert_eq!(result(&proxy, json!({})), json!({"n": 2}));
    // Both ran to their end.
    for _ in 0..2 {
        proxy.logs();
    }
    assert_silent(&proxy);
}
