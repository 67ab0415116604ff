//! Where it listens, and what it takes from others there.

use actionproxy_tests::binary;

use super::*;

/// The addresses on which a proxy listens.
fn listening(proxy: &Proxy) -> Vec<SocketAddr> {
    let pid = proxy.pid().as_raw_nonzero();
    let sockets = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the proxy is there");
    let inodes: Vec<String> = sockets
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?;
            Some(inode.trim_end_matches(']').to_owned())
        })
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("a table");
    // Of the columns the second is the address, the fourth the state, where 0A is listening, and the
    // tenth the inode (proc(5)).
    let own = table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let inode = columns.get(9)?.to_string();
        (columns[3] == "0A" && inodes.contains(&inode)).then(|| columns[1].to_owned())
    });
    own.map(|address| {
        let (_, port) = address.split_once(':').expect("an address");
        let port = u16::from_str_radix(port, 16).expect("a port");
        SocketAddr::from(([127, 0, 0, 1], port))
    })
    .collect()
}

#[test]
fn there_is_no_such_port_unless_it_is_asked_for() {
    let proxy = Proxy::start();
    assert_eq!(listening(&proxy), [proxy.address()]);
    assert_eq!(proxy.get("/metrics").status, 404);
    assert_eq!(proxy.get("/readyz").status, 404);
}

#[test]
fn there_is_no_other_way_to_what_answers_behind_it() {
    let (proxy, operator) = start(&[]);
    assert_eq!(get(operator, "/healthz").status, 200);
    let mut expected = [proxy.address(), operator];
    let mut found = listening(&proxy);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn it_is_shared_with_nobody() {
    let (_proxy, operator) = start(&[]);
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let (family, kind) = (
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
    );
    let socket = rustix::net::socket_with(family, kind, flags, None).expect("a socket");
    rustix::net::sockopt::set_socket_reuseport(&socket, true).expect("our own");
    let taken = rustix::net::bind(&socket, &operator);
    assert_eq!(taken, Err(rustix::io::Errno::ADDRINUSE));
}

#[test]
fn connections_to_it_leave_the_port_of_activations_its_descriptors() {
    if !tools::are_here(&["prlimit"]) {
        return;
    }
    let operator = free_address();
    let proxy = Proxy::builder()
        .under(["prlimit", "--nofile=64", "--"])
        .arg("--operator-port")
        .arg(&operator.port().to_string())
        .start();
    // Far more than there are descriptors; those over its share are closed.
    let open: Vec<_> = (0..60).map(|_| Connection::open(operator)).collect();
    assert_eq!(proxy.get("/healthz").status, 200);
    assert_eq!(get(operator, "/healthz").status, 200);
    let closed = open.into_iter().flatten().take(20);
    assert!(closed.into_iter().all(Connection::closed));
    assert_eq!(proxy.get("/healthz").status, 200);
}

#[test]
fn a_port_in_use_is_a_line_and_status_2() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let output = binary::command()
        .args(["--host", "127.0.0.1", "--port", "0"])
        .args(["--operator-port", &port])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    // Nothing is said to listen before that.
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("operator's port") && said.contains(&port) && said.contains("in use"),
        "{said}"
    );
}
