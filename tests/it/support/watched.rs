//! A server program that ends with the test binary, however that ends: a small shell watches over
//! it, reads from a pipe that ends when the test binary does, and then stops the server and deletes
//! its folder.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// What a line on standard input can ask for; its end means that nobody needs the server.
const WATCH: &str = r#"
    folder=$1; crash=$2; shift 2
    "$@" >>"$folder/log" 2>&1 &
    server=$!
    while read -r command; do
        case $command in
            pause) kill -STOP $server ;;
            resume) kill -CONT $server ;;
            *) break ;;
        esac
        echo done
    done
    case $command in
        stop) kill -INT $server ;;
        *) kill -$crash $server ;;
    esac
    kill -CONT $server 2>/dev/null
    wait $server
    [ "$command" ] || rm -rf "$folder"
"#;

/// A running server and its watcher.
pub struct Watched {
    watcher: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Watched {
    /// Runs a server whose output goes to `log` in the folder. `shell` may be set up to run as
    /// another user; `crash` is the signal that ends the server at once.
    pub fn run(mut shell: Command, folder: &Path, crash: &str, server: &Command) -> Self {
        let mut watcher = shell
            .args(["-c", WATCH, "watch"])
            .arg(folder)
            .arg(crash)
            .arg(server.get_program())
            .args(server.get_args())
            .current_dir(folder)
            // Interrupting the tests must not interrupt the server before the watcher knows.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let stdin = watcher.stdin.take().expect("its standard input");
        let stdout = watcher.stdout.take().expect("its standard output");
        Self {
            watcher,
            stdin,
            stdout: BufReader::new(stdout),
        }
    }

    /// Stops the server from running, with its connections open, or lets it run on.
    pub fn pause(&mut self, on: bool) {
        let command: &[u8] = if on { b"pause\n" } else { b"resume\n" };
        self.stdin.write_all(command).expect("the watcher listens");
        let mut done = String::new();
        self.stdout
            .read_line(&mut done)
            .expect("the watcher answers");
        assert_eq!(done, "done\n");
    }

    /// Ends the server: `stop` in its orderly way, `crash` at once, and nothing at once with its
    /// folder.
    pub fn end(mut self, command: &str) {
        if !command.is_empty() {
            // The watcher may have ended with its server.
            let _ = self.stdin.write_all(format!("{command}\n").as_bytes());
        }
        drop(self.stdin);
        self.watcher.wait().expect("the watcher ends");
    }
}
