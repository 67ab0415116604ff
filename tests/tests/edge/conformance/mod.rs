//! HTTP/1.1 row by row, each row sent in every way that it can be cut. README.md beside this file
//! tells how the rows are written and what is checked.

mod table;

use std::fmt;
use std::io;

use actionproxy_tests::unread::Unread;
use actionproxy_tests::{Answer, Connection, Proxy, SENTINEL};
use table::{Body, Form, Row, Then};

/// Answers with its argument. Not bash: thousands of them run.
const ECHO: &str = "#!/bin/sh\nread -r line\nprintf '%s\\n' \"$line\"\n";

/// Bytes up to which a row is cut at every place.
const CUT_EVERYWHERE: usize = 2000;
/// How the middle of a longer one is cut where the rest goes byte by byte.
const MIDDLE: usize = 97;

#[test]
fn request_lines() {
    check(include_str!("request-line.txt"));
}

#[test]
fn heads() {
    check(include_str!("heads.txt"));
}

#[test]
fn lengths() {
    check(include_str!("lengths.txt"));
}

#[test]
fn chunks() {
    check(include_str!("chunks.txt"));
}

#[test]
fn connections() {
    check(include_str!("connections.txt"));
}

#[test]
fn what_is_no_http() {
    check(include_str!("foreign.txt"));
}

#[test]
fn what_is_left_out_has_a_reason() {
    let lines: Vec<_> = include_str!("left-out.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert!(!lines.is_empty());
    for pair in lines.chunks(2) {
        assert!(!pair[0].starts_with(' '), "{pair:?}");
        assert!(pair[1].starts_with("  because "), "{pair:?}");
    }
}

/// How a row is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Nowhere,
    At(usize),
    Everywhere,
}

/// What the client does behind the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// Its sending side stays open.
    Open,
    /// It ends its sending, and waits for the answer.
    End,
}

/// What the proxy did: the statuses of its answers, and whether the connection was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    statuses: Vec<u16>,
    kept: bool,
}

fn check(text: &str) {
    let proxy = Proxy::start();
    proxy.init(ECHO);
    let mut client = Client {
        unread: Unread::new(),
        logged: [0; 2],
        proxy,
    };
    let rows = table::rows(text);
    let mut faults = Vec::new();
    for row in &rows {
        let mut first: [Option<Outcome>; 2] = [None, None];
        'ways: for cut in cuts(row) {
            for behind in [Behind::Open, Behind::End] {
                let way = format!("cut {cut:?}, behind it {behind:?}");
                let outcome = match client.attempt(row, cut, behind) {
                    Ok(outcome) => outcome,
                    Err(fault) => {
                        faults.push(format!("{}: {fault} ({way})", row.name));
                        client.logged = client.log_sizes();
                        break 'ways;
                    }
                };
                let expected = first[behind as usize].get_or_insert_with(|| outcome.clone());
                if *expected != outcome {
                    faults.push(format!(
                        "{}: {outcome:?} ({way}), in one piece {expected:?}",
                        row.name
                    ));
                    break 'ways;
                }
            }
        }
    }
    let failed = faults.len();
    println!("{} rows hold, {failed} do not", rows.len() - failed);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn cuts(row: &Row) -> Vec<Cut> {
    let (start, middle, end) = parts_of(&row.sent);
    let before_end = start.len() + middle.len();
    let mut cuts = vec![Cut::Nowhere, Cut::Everywhere];
    cuts.extend((1..start.len()).map(Cut::At));
    cuts.extend((0..end.len()).map(|at| Cut::At(before_end + at)));
    cuts
}

/// The parts of a row that are cut at every place, and the part between them that is not.
fn parts_of(bytes: &[u8]) -> (&[u8], &[u8], &[u8]) {
    if bytes.len() <= CUT_EVERYWHERE {
        return (bytes, &[], &[]);
    }
    let (start, rest) = bytes.split_at(40);
    let (middle, end) = rest.split_at(rest.len() - 150);
    (start, middle, end)
}

struct Client {
    proxy: Proxy,
    unread: Unread,
    /// Bytes of each log so far: sentinels alone.
    logged: [u64; 2],
}

impl Client {
    /// Sends a row and looks at everything that comes.
    fn attempt(&mut self, row: &Row, cut: Cut, behind: Behind) -> Result<Outcome, Fault> {
        let mut connection = self.proxy.connect();
        self.send(&mut connection, &row.sent, cut);
        if behind == Behind::End {
            let _ = connection.finish();
        }
        let mut outcome = Outcome {
            statuses: Vec::new(),
            kept: true,
        };
        let mut runs = 0;
        let mut last: Option<Answer> = None;
        let mut interim = false;
        for (n, forms) in row.answers.iter().enumerate() {
            if forms[0].body == Body::Interim {
                interim = true;
                continue;
            }
            let what = |e| Fault(format!("answer {}: {e}", n + 1));
            let without_body = forms.iter().any(|form| form.body == Body::None);
            let mut answer = read(&mut connection, without_body).map_err(what)?;
            if interim && answer.status == 100 {
                answer = read(&mut connection, without_body).map_err(what)?;
            }
            interim = false;
            let form = forms
                .iter()
                .find(|form| form.statuses.contains(&answer.status));
            let form = form.ok_or_else(|| Fault(format!("answer {}: {}", n + 1, said(&answer))))?;
            check_answer(&answer, form)?;
            runs += u64::from(matches!(form.body, Body::Result(_)));
            outcome.statuses.push(answer.status);
            if let Some(before) = last.replace(answer) {
                expect(
                    !says_close(&before),
                    "`Connection: close` before the last answer",
                )?;
            }
        }
        self.check_connection(connection, row, behind, last.as_ref(), &mut outcome)?;
        let sentinels = runs * (SENTINEL.len() as u64 + 1);
        self.logged = self.logged.map(|size| size + sentinels);
        let (sizes, due) = (self.log_sizes(), self.logged);
        expect(
            sizes == due,
            format_args!("the logs hold {sizes:?} bytes where {due:?} are due"),
        )?;
        Ok(outcome)
    }

    fn send(&self, connection: &mut Connection, bytes: &[u8], cut: Cut) {
        let parts: Vec<&[u8]> = match cut {
            Cut::Nowhere => vec![bytes],
            Cut::At(at) => vec![&bytes[..at], &bytes[at..]],
            Cut::Everywhere => {
                let (start, middle, end) = parts_of(bytes);
                let middle = middle.chunks(MIDDLE);
                start.chunks(1).chain(middle).chain(end.chunks(1)).collect()
            }
        };
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                self.unread.wait(connection.stream());
            }
            // What was refused may not be taken to its end; the answer must come all the same.
            if connection.send(part).is_err() {
                break;
            }
        }
    }

    fn check_connection(
        &self,
        mut connection: Connection,
        row: &Row,
        behind: Behind,
        last: Option<&Answer>,
        outcome: &mut Outcome,
    ) -> Result<(), Fault> {
        let said_close = last.is_some_and(says_close);
        outcome.kept = match row.then {
            Then::Kept => true,
            Then::Closed => false,
            Then::Said | Then::Waits(_) => !said_close,
        };
        match (&row.then, behind) {
            (Then::Waits(_), Behind::Open) => {
                expect(!said_close, "`Connection: close` before the end")
            }
            (Then::Waits(statuses), Behind::End) => {
                if statuses.contains(&0) && connection.is_at_its_end() {
                    return Ok(());
                }
                let answer = connection.answer();
                let answer = answer.map_err(|e| Fault(format!("at the end of sending: {e}")))?;
                expect(
                    statuses.contains(&answer.status),
                    format_args!("at the end of sending: {}", said(&answer)),
                )?;
                outcome.statuses.push(answer.status);
                ends(connection)
            }
            (_, Behind::End) => ends(connection),
            (_, Behind::Open) if outcome.kept => {
                expect(!said_close, "`Connection: close`, though it is kept")?;
                stays(connection)
            }
            (_, Behind::Open) => {
                expect(said_close, "no `Connection: close`, though it ends")?;
                ends(connection)
            }
        }
    }

    fn log_sizes(&self) -> [u64; 2] {
        ["stdout", "stderr"].map(|name| {
            let log = self.proxy.scratch().join(name);
            log.metadata().expect("a log").len()
        })
    }
}

fn read(connection: &mut Connection, without_body: bool) -> io::Result<Answer> {
    match without_body {
        true => connection.answer_to_head(),
        false => connection.answer(),
    }
}

fn says_close(answer: &Answer) -> bool {
    answer
        .header("connection")
        .is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

fn check_answer(answer: &Answer, form: &Form) -> Result<(), Fault> {
    if let Some((name, value)) = &form.header {
        let found = answer.header(name);
        let same = found.is_some_and(|found| found.eq_ignore_ascii_case(value));
        expect(same, format_args!("`{name}: {value}` in {}", said(answer)))?;
    }
    let kind = answer.header("content-type");
    expect(
        kind == Some("application/json"),
        format_args!("JSON is announced in {}", said(answer)),
    )?;
    let body = String::from_utf8_lossy(&answer.body);
    let fits = match &form.body {
        Body::Health => body.starts_with("{\"status\":\"ok\""),
        Body::None => answer.header("content-length") != Some("0"),
        Body::Result(result) => body == result.as_str(),
        Body::Error => {
            let body: Result<serde_json::Value, _> = serde_json::from_str(&body);
            body.is_ok_and(|body| body["error"].as_str().is_some_and(|text| text.len() > 3))
        }
        Body::Interim => unreachable!("an interim answer is not looked at"),
    };
    expect(fits, format_args!("the body of {}", said(answer)))
}

/// The proxy ends its side in order, and sends nothing before that.
fn ends(connection: Connection) -> Result<(), Fault> {
    let rest = connection
        .rest()
        .map_err(|e| Fault(format!("at the end: {e}")))?;
    expect(
        rest.is_empty(),
        format_args!(
            "more than the answers: {:?}",
            String::from_utf8_lossy(&rest)
        ),
    )
}

/// What is sent after all this is answered.
fn stays(mut connection: Connection) -> Result<(), Fault> {
    let asked = connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = asked.and_then(|()| connection.answer());
    let answer = answer.map_err(|e| Fault(format!("it is not kept: {e}")))?;
    expect(
        answer.status == 200,
        format_args!("the next answer: {}", said(&answer)),
    )
}

fn said(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    format!("{} {:?} {body:.200}", answer.status, answer.headers)
}

/// Why a row does not hold.
struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn expect(holds: bool, what: impl fmt::Display) -> Result<(), Fault> {
    match holds {
        true => Ok(()),
        false => Err(Fault(what.to_string())),
    }
}
