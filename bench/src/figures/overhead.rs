//! What HTTP, hand-over and platform cost: requests that start no process.

use super::Bench;
use super::run::{exchange_kept, expect_200};
use crate::alternate::{self, Shown, Turn};
use crate::bare;
use crate::client;
use crate::report::Report;

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    let executable = bench.actions.answering(crate::programs::Answering::StaticC);
    let instant = bench.instant.start(&executable)?;
    let request = client::run_request(100);
    let health = b"GET /healthz HTTP/1.1\r\nHost: proxy\r\n\r\n";
    let least = bare::serve(None, request.len()).map_err(|e| format!("a listening socket: {e}"))?;
    let address = instant.address;
    let mut kept = [None, None];
    let [kept_health, kept_run] = &mut kept;

    report.group("without the executable: HTTP, hand-over, platform");
    let turns = vec![
        Turn::new("answer on a socket, one thread", None, || {
            expect_200(client::exchange(least, &request))
        }),
        Turn::new("/healthz, fresh connection", None, || {
            expect_200(client::exchange(address, health))
        }),
        Turn::new("/healthz, keep-alive", None, || {
            expect_200(exchange_kept(kept_health, address, health))
        }),
        Turn::new("/run that returns at once, fresh connection", None, || {
            expect_200(client::exchange(address, &request))
        }),
        Turn::new("/run that returns at once, keep-alive", None, || {
            expect_200(exchange_kept(kept_run, address, &request))
        }),
    ];
    alternate::measure(report, bench.runs(1000), Shown::Micros, turns);
    Ok(())
}
