//! The command line: what can be asked of the program, and how it answers.
//!
//! Standard output carries the answer alone, so that it can be piped; everything else goes to
//! standard error. Exit codes: 0 success; 1 a failure, told in one line; 2 a mistake in the command
//! line or the configuration.

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    chat::UserId,
    config::{self, ConfigErrors, Finding, Loaded, Sources},
};

const FAILURE: u8 = 1;
const MISTAKE: u8 = 2;

/// A horizontally scalable Socket.IO chat gateway.
#[derive(Debug, Parser)]
#[command(name = "porchlight", version, about)]
pub struct Cli {
    /// Read this configuration file (default: the one that PORCHLIGHT_CONFIG names, if any)
    #[arg(long, short, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

/// What the program is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the gateway (this is what happens without a command)
    Serve,
    /// Check the configuration, tell every mistake, and show what is not the default
    CheckConfig,
    /// Print the configuration with every key, its default and what it means
    DefaultConfig,
    /// Bring the database to this version and end
    Migrate,
    /// Print a token for a user, signed with the first secret of the configuration, or with the
    /// node's own where none is configured
    Token(TokenArgs),
    /// Make conversations to try things out with
    Seed,
    /// Look at dialects: the event vocabularies that clients speak
    #[command(subcommand)]
    Dialect(DialectCommand),
}

/// Whom a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TokenArgs {
    /// The user's id
    #[arg(long, value_name = "ID")]
    pub user: UserId,
    /// The name that others see (default: the id)
    #[arg(long)]
    pub name: Option<String>,
    /// The e-mail address
    #[arg(long)]
    pub email: Option<String>,
    /// The URL of a picture
    #[arg(long, value_name = "URL")]
    pub avatar: Option<String>,
    /// How long it is valid, such as 90s, 15m, 24h, 7d (default: auth.socket_token_ttl_s)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub ttl: Option<Duration>,
}

/// What to do with a dialect.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DialectCommand {
    /// Print a dialect's events as a table, a built-in one's, one's of dialects.dir or a file's
    Show {
        /// Its name, such as standard, or its file, such as ./mine.toml
        #[arg(value_name = "NAME|FILE")]
        dialect: String,
    },
    /// Print a dialect's events as TypeScript, for socket.io-client
    Types {
        /// Its name, such as standard, or its file, such as ./mine.toml
        #[arg(value_name = "NAME|FILE")]
        dialect: String,
    },
    /// Check a dialect's file: tell every mistake, and what may not be meant so
    Check {
        /// The file
        file: PathBuf,
    },
}

impl Cli {
    /// The command; [`Command::Serve`] if none was given.
    pub fn command(&self) -> Command {
        self.command.clone().unwrap_or(Command::Serve)
    }

    /// The configuration of the file that was named and of this process's environment.
    ///
    /// # Errors
    /// [`Failure::Config`].
    pub fn load(&self) -> Result<Loaded, Failure> {
        let sources = Sources::new(self.config.clone(), std::env::vars_os());
        Ok(config::load(&sources)?)
    }
}

/// Reads the command line. Answers `--help`, `--version` and mistakes itself and ends the process.
pub fn parse() -> Cli {
    Cli::parse()
}

/// Why the program did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// Mistakes of the configuration. Exit code 2.
    Config(ConfigErrors),
    /// Mistakes of a file that was to be checked, a line each. Exit code 2.
    Mistakes(Vec<String>),
    /// Anything else. Exit code 1.
    Other(Box<dyn Error + Send + Sync>),
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}

impl Failure {
    /// A failure with its causes.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Mistakes(_) => MISTAKE,
            Self::Other(_) => FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(errors) => write!(f, "{errors}"),
            Self::Mistakes(lines) => {
                let count = lines.len();
                let are = if count == 1 { "mistake" } else { "mistakes" };
                write!(f, "{count} {are}\n{}", lines.join("\n"))
            }
            Self::Other(error) => {
                let mut text = error.to_string();
                let mut cause = error.source();
                while let Some(error) = cause {
                    // Many errors repeat their cause in their own text.
                    let next = error.to_string();
                    if !text.contains(&next) {
                        text.push_str(": ");
                        text.push_str(&next);
                    }
                    cause = error.source();
                }
                let words: Vec<_> = text.split_whitespace().collect();
                f.write_str(&words.join(" "))
            }
        }
    }
}

/// Ends `main`: a failure is told on standard error.
pub fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Where standard error is closed there is nobody left to tell.
            let _ = writeln!(io::stderr(), "porchlight: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// Prints an answer on standard output. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
/// Standard output cannot be written to.
pub fn print(answer: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(answer.as_bytes())
        .and_then(|()| {
            if answer.ends_with('\n') {
                Ok(())
            } else {
                out.write_all(b"\n")
            }
        })
        .and_then(|()| out.flush());
    match written {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Failure::other(e)),
        _ => Ok(()),
    }
}

/// The answer to [`Command::CheckConfig`] for a configuration that loaded: `OK`, then what is not
/// the default and where it comes from, then warnings. `further` are mistakes that were found
/// beyond the configuration's own, by dialects for example.
///
/// # Errors
/// [`Failure::Config`] with `further`, if there are any.
pub fn check_config(loaded: &Loaded, further: Vec<Finding>) -> Result<String, Failure> {
    if !further.is_empty() {
        return Err(ConfigErrors(further).into());
    }
    let mut text = "OK\n".to_owned();
    for changed in &loaded.changed {
        text += &format!(
            "  {} = {}  ({})\n",
            changed.key, changed.value, changed.origin
        );
    }
    for warning in &loaded.warnings {
        text += &format!("warning: {warning}\n");
    }
    Ok(text)
}

/// `90s`, `15m`, `24h`, `7d`; a number alone is seconds.
fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is not a time such as 90s, 15m, 24h or 7d");
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(0) | None => Err(wrong()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as CommandFactory>::command().debug_assert();
    }

    #[test]
    fn commands_and_the_file_before_or_after_them() {
        let cli = parsed("porchlight").expect("nothing is needed");
        assert_eq!(cli.command(), Command::Serve);
        assert_eq!(cli.config, None);
        for line in [
            "porchlight --config a.toml check-config",
            "porchlight check-config --config a.toml",
            "porchlight check-config -c a.toml",
        ] {
            let cli = parsed(line).expect(line);
            assert_eq!(cli.command(), Command::CheckConfig);
            assert_eq!(cli.config, Some("a.toml".into()));
        }
        let show = parsed("porchlight dialect show direct").expect("a command");
        assert_eq!(
            show.command(),
            Command::Dialect(DialectCommand::Show {
                dialect: "direct".into()
            })
        );
    }

    #[test]
    fn tokens_are_for_someone_and_for_a_time() {
        let cli = parsed("porchlight token --user alice --name Alice --ttl 24h").expect("a token");
        let Command::Token(token) = cli.command() else {
            panic!("another command");
        };
        assert_eq!(token.user.as_str(), "alice");
        assert_eq!(token.name.as_deref(), Some("Alice"));
        assert_eq!(token.ttl, Some(Duration::from_secs(86_400)));

        let nobody = parsed("porchlight token").expect_err("a user is needed");
        assert_eq!(nobody.kind(), ErrorKind::MissingRequiredArgument);
        let odd = parsed("porchlight token --user a/b").expect_err("no id");
        assert_eq!(odd.kind(), ErrorKind::ValueValidation);
        assert_eq!(odd.exit_code(), i32::from(MISTAKE));
    }

    #[test]
    fn times() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("7d", 604_800)] {
            assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in [
            "",
            "h",
            "0s",
            "1w",
            "1.5h",
            "-1s",
            "99999999999999999999d",
            "1 h",
        ] {
            assert!(parse_time(wrong).is_err(), "{wrong:?} was accepted");
        }
    }

    #[test]
    fn failures_are_one_line_with_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("the database cannot\nbe opened")]
        struct Outer(#[source] io::Error);

        let failure = Failure::other(Outer(io::Error::other("disk\n  full")));
        assert_eq!(
            failure.to_string(),
            "the database cannot be opened: disk full"
        );
        assert_eq!(failure.code(), FAILURE);
        assert_eq!(Failure::Config(ConfigErrors(Vec::new())).code(), MISTAKE);
    }
}
