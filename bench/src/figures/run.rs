//! `/run`, process per activation, against the bare process.

use std::path::Path;

use actionproxy_core::{Action, Config, Logs, NativeRunner, RunRequest};

use super::{Bench, size_name};
use crate::alternate::{self, Shown, Turn};
use crate::bare;
use crate::client::{self, Client};
use crate::programs::Answering;
use crate::report::Report;
use crate::subject::Running;

/// Bytes of the argument, and how often each is measured.
const SIZES: [(usize, usize); 3] = [(100, 400), (100_000, 200), (1_000_000, 60)];

pub(crate) fn measure(bench: &Bench, report: &mut Report) -> Result<(), String> {
    for action in Answering::ALL {
        let heading = |size| format!("/run: {}, {}", action.name(), size_name(size));
        if !SIZES
            .iter()
            .any(|(size, _)| heading(*size).contains(&bench.case))
        {
            continue;
        }
        let executable = bench.actions.answering(action);
        let mut proxies = Vec::new();
        for (at, subject) in bench.subjects.iter().enumerate() {
            match subject.start(&executable) {
                Ok(running) => proxies.push((subject.name.as_str(), running)),
                Err(e) if at == 0 => return Err(e),
                Err(e) => report.note(&e),
            }
        }
        for (size, rounds) in SIZES {
            if !heading(size).contains(&bench.case) {
                continue;
            }
            report.group(heading(size));
            one_size(&executable, size, bench.runs(rounds), &proxies, report)?;
        }
    }
    Ok(())
}

fn one_size(
    executable: &Path,
    size: usize,
    rounds: usize,
    proxies: &[(&str, Running)],
    report: &mut Report,
) -> Result<(), String> {
    let argument = client::argument(size);
    let request = client::run_request(size);
    let least = bare::serve(Some(executable.to_path_buf()), size)
        .map_err(|e| format!("a listening socket: {e}"))?;
    let core = in_process(executable)?;

    let mut turns = vec![
        Turn::new("bare process", None, || {
            bare::run(executable, &argument)
                .map(drop)
                .map_err(|e| e.to_string())
        }),
        Turn::new("floor", BARE, || {
            expect_200(client::exchange(least, &argument))
        }),
        Turn::new("core alone, in this process", BARE, || {
            let request = RunRequest {
                argument: argument.clone(),
                ..RunRequest::default()
            };
            let (mut stdout, mut stderr) = (std::io::sink(), std::io::sink());
            let mut logs = Logs::new(&mut stdout, &mut stderr);
            core.run(request, &mut logs)
                .map(drop)
                .map_err(|e| e.to_string())
        }),
    ];
    for (name, running) in proxies {
        let address = running.address;
        let request = &request;
        turns.push(Turn::new(
            format!("{name}, fresh connection"),
            FLOOR,
            move || expect_200(client::exchange(address, request)),
        ));
        let mut kept = None;
        turns.push(Turn::new(format!("{name}, keep-alive"), FLOOR, move || {
            expect_200(exchange_kept(&mut kept, address, request))
        }));
    }
    alternate::measure(report, rounds, Shown::Micros, turns);
    Ok(())
}

const BARE: Option<&str> = Some("bare process");
/// A bare process behind a socket, with a fresh connection for each.
const FLOOR: Option<&str> = Some("floor");

fn in_process(executable: &Path) -> Result<Action, String> {
    let mut config = Config::new(executable.parent().unwrap_or(Path::new("/")));
    config.executable = executable.file_name().unwrap_or_default().into();
    config.env = std::env::var_os("PATH")
        .map(|path| ("PATH", path))
        .into_iter()
        .collect();
    Action::existing(config, NativeRunner).map_err(|e| e.to_string())
}

/// On one connection for all; a new one where the proxy has closed it.
pub(crate) fn exchange_kept(
    kept: &mut Option<Client>,
    address: std::net::SocketAddr,
    request: &[u8],
) -> std::io::Result<u16> {
    let mut client = match kept.take() {
        Some(client) => client,
        None => Client::connect(address)?,
    };
    let status = client.exchange(request)?.0;
    *kept = Some(client);
    Ok(status)
}

pub(crate) fn expect_200(answered: std::io::Result<u16>) -> Result<(), String> {
    match answered {
        Ok(200) => Ok(()),
        Ok(status) => Err(format!("answered with {status}")),
        Err(e) => Err(e.to_string()),
    }
}
