//! The real binary as a private server on free ports in a temporary folder, and scripts of real
//! clients that run against it.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_porchlight");
const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A load that the default limits would slow down.
pub const NO_LIMITS: &[(&str, &str)] = &[
    ("PORCHLIGHT_LIMITS_EVENTS_PER_SECOND", "100000"),
    ("PORCHLIGHT_LIMITS_EVENTS_BURST", "100000"),
    ("PORCHLIGHT_LIMITS_MESSAGES_PER_SECOND", "100000"),
    ("PORCHLIGHT_LIMITS_MESSAGES_BURST", "100000"),
    ("PORCHLIGHT_LIMITS_HANDSHAKES_PER_SECOND", "100000"),
    ("PORCHLIGHT_LIMITS_HANDSHAKES_BURST", "100000"),
    ("PORCHLIGHT_LIMITS_NODE_HANDSHAKES_PER_SECOND", "100000"),
    ("PORCHLIGHT_LIMITS_NODE_HANDSHAKES_BURST", "100000"),
    ("PORCHLIGHT_LIMITS_REQUESTS_PER_SECOND", "100000"),
    ("PORCHLIGHT_LIMITS_REQUESTS_BURST", "100000"),
    ("PORCHLIGHT_LIMITS_CONNECTIONS_PER_ADDRESS", "10000"),
    ("PORCHLIGHT_LIMITS_CONNECTIONS_PER_USER", "10000"),
];

/// A running gateway. Stops, with its folder, when dropped, and with the thread that started it.
pub struct Gateway {
    folder: TempDir,
    port: u16,
    ops_port: u16,
    settings: Vec<(String, String)>,
    child: Option<Child>,
}

impl Gateway {
    /// Starts a gateway with these environment variables on top of its own ports, secret and
    /// folder, and waits until it is ready.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let mut gateway = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            port: 0,
            ops_port: 0,
            settings: settings
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            child: None,
        };
        loop {
            (gateway.port, gateway.ops_port) = (free_port(), free_port());
            match gateway.run() {
                Ok(()) => return gateway,
                // Somebody else was faster.
                Err(log) if log.contains("in use") => continue,
                Err(log) => panic!("the gateway did not start:\n{log}"),
            }
        }
    }

    /// Where clients connect: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where operators look: `http://127.0.0.1:PORT`.
    pub fn ops_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ops_port)
    }

    /// Its ports: the clients' and the operators'.
    pub fn ports(&self) -> (u16, u16) {
        (self.port, self.ops_port)
    }

    /// Its working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process. Panics while it does not run.
    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("the gateway runs").id()
    }

    /// SIGKILL: nothing is said good-bye to.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the gateway can be killed");
            child.wait().expect("the gateway ends");
        }
    }

    /// SIGTERM, and waits until the gateway has ended by itself.
    pub fn terminate(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let id = child.id().to_string();
        let told = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(told.expect("kill runs").success());
        let status = child.wait().expect("the gateway ends");
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Starts again where [`Gateway::kill`] left it: same ports, same data.
    pub fn restart(&mut self) {
        self.kill();
        if let Err(log) = self.run() {
            panic!("the gateway did not start again:\n{log}");
        }
    }

    /// Everything that it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// A command in the gateway's folder and environment, and in nothing of this process's own
    /// that could change how it behaves.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(self.folder.path()).env_clear();
        for name in ["PATH", "HOME", "LANG", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("PORT", self.port.to_string())
            .env("PORCHLIGHT_OPS_PORT", self.ops_port.to_string())
            .env("JWT_SECRET", "the secret of a test's private gateway")
            .envs(self.settings.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a script of `tests/clients` to its end; `heard` is told each line of its output and
    /// may act upon the gateway. Panics with the output if the script fails or outlasts `limit`.
    pub fn script(
        &mut self,
        program: impl AsRef<Path>,
        args: &[&str],
        settings: &[(&str, &str)],
        limit: Duration,
        mut heard: impl FnMut(&str, &mut Self),
    ) {
        let name = args.join(" ");
        let mut command = self.command(program);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        command
            .args(args)
            .env("PORCHLIGHT_URL", self.url())
            .env("PORCHLIGHT_BIN", BINARY)
            .envs(settings.iter().copied())
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer);
        let child = command.spawn().unwrap_or_else(|e| panic!("{name}: {e}"));
        // The command holds the pipe's writing ends, and reading ends when all are closed.
        drop(command);

        let mut guard = Guard(child);
        let (lines, received) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let deadline = Instant::now() + limit;
        let mut output = String::new();
        let fail = |what: &str, output: &str, gateway: &Self| -> ! {
            let log = gateway.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            panic!("{name} {what}\n--- script\n{output}\n--- gateway\n{tail}");
        };
        loop {
            match received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    output.push_str(&line);
                    output.push('\n');
                    heard(&line, self);
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    fail(&format!("took longer than {limit:?}"), &output, self)
                }
            }
        }
        let status = guard.0.wait().expect("the script ends");
        if !status.success() {
            fail("failed", &output, self);
        }
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("gateway.log")
    }

    /// Spawns the binary and waits until it is ready. `Err`: it ended, and this is its log.
    fn run(&mut self) -> Result<(), String> {
        let from = self.log().len();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log file");
        let (out, err) = (log.try_clone().expect("a log file"), log);
        // However this thread ends, the gateway ends with it.
        let child = self
            .command("setpriv")
            .args(["--pdeathsig", "KILL", "--", BINARY])
            .stdout(out)
            .stderr(err)
            .spawn();
        self.child = Some(child.expect("setpriv (util-linux) runs"));

        let deadline = Instant::now() + READY_WITHIN;
        while !is_ready(self.ops_port) {
            let ended = self
                .child
                .as_mut()
                .and_then(|c| c.try_wait().expect("the gateway can be asked"));
            if let Some(status) = ended {
                self.child = None;
                return Err(format!("{status}\n{}", &self.log()[from..]));
            }
            assert!(
                Instant::now() < deadline,
                "not ready within {READY_WITHIN:?}:\n{}",
                self.log()
            );
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A child process that does not outlive the test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether `GET /ready` on that port answers 200.
fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.to_vec())
    };
    ask().is_ok_and(|head| head.ends_with(b" 200"))
}

/// A port that nobody listens on now. Below the range that the kernel hands to outgoing
/// connections: a client that keeps knocking on a port of that range while its server is down can
/// end up connected to itself, and then the server cannot start.
pub fn free_port() -> u16 {
    const RANGE: std::ops::Range<u16> = 20_000..32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let width = RANGE.end - RANGE.start;
    // Runs at the same time begin at different places.
    let start = u16::try_from(std::process::id() % u32::from(width)).unwrap_or_default();
    for _ in 0..width {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = RANGE.start + (start.wrapping_mul(37).wrapping_add(step)) % width;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port in {RANGE:?}");
}

/// The folder of the client scripts. Panics where their packages are not installed.
pub fn clients() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    for needed in ["node_modules", ".venv/bin/python"] {
        assert!(
            folder.join(needed).exists(),
            "{} is missing: tests/run installs it",
            folder.join(needed).display()
        );
    }
    folder
}
