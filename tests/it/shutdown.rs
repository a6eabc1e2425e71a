//! Real signals. They reach every listener of a process, so each test sends them to a process of
//! its own: this binary again, told to run [`node`].

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use porchlight::shutdown::Shutdown;

/// Says that [`node`] is wanted, and whether its task ends on a soft stop: `soft` or `hard`.
const ROLE: &str = "SHUTDOWN_TEST_ROLE";

/// Not a test of its own: runs until signals stop it and prints what happens.
#[tokio::test]
#[ignore = "a process for the other tests"]
async fn node() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let shutdown = Shutdown::new();
    shutdown.listen_signals().expect("signals");
    let stop = match role.as_str() {
        "soft" => shutdown.soft(),
        _ => shutdown.hard(),
    };
    shutdown.tasks().spawn(stop.clone().cancelled_owned());
    println!("\nready");
    shutdown.soft().cancelled().await;
    println!("\nsoft");
    println!("\n{:?}", shutdown.stopped(Duration::from_secs(60)).await);
}

struct Node {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Node {
    fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--ignored", "--exact", "--nocapture", "shutdown::node"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut node = Self { child, output };
        node.await_line("ready");
        node
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill");
        assert!(status.success());
    }

    /// Reads until this line.
    fn await_line(&mut self, expected: &str) {
        let found = self
            .output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .any(|line| line == expected);
        assert!(found, "it ended without saying {expected}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Ended already unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn one_signal_stops_softly() {
    for signal in ["TERM", "INT"] {
        let mut node = Node::start("soft");
        node.signal(signal);
        node.await_line("soft");
        node.await_line("Clean");
    }
}

#[test]
fn a_second_signal_stops_hard() {
    let mut node = Node::start("hard");
    node.signal("TERM");
    node.await_line("soft");
    node.signal("INT");
    node.await_line("Forced { left: 0 }");
}
