//! The small language inside a dialect's texts: `term or term ... | filter argument ... | ...`.
//!
//! A term is a path (`message.sender.id`, `data.text`, `$0`), a text in single quotes, or a JSON
//! literal (`true`, `12`, `null`, `[]`, `{}`).

use super::source::{Node, Value};

/// A parsed text.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    /// Tried in order; the first that is there counts.
    pub terms: Vec<Term>,
    pub filters: Vec<Filter>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Path(String),
    Text(String),
    Flag(bool),
    /// Any other constant, as JSON text.
    Json(String),
}

impl Term {
    /// The constant as JSON text; `None` for a path.
    pub(super) fn json(&self) -> Option<String> {
        match self {
            Self::Path(_) => None,
            Self::Text(text) => {
                let mut json = String::new();
                super::text::push_text(&mut json, text);
                Some(json)
            }
            Self::Flag(flag) => Some(flag.to_string()),
            Self::Json(json) => Some(json.clone()),
        }
    }
}

/// What is done with the value.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub name: String,
    pub args: Vec<String>,
}

impl Expr {
    /// The expression that a text, flag or number stands for.
    pub(super) fn of(node: &Node) -> Result<Self, String> {
        let constant = |term| {
            Ok(Self {
                terms: vec![term],
                filters: Vec::new(),
            })
        };
        match &node.value {
            Value::Text(text) => Self::parse(text),
            Value::Flag(flag) => constant(Term::Flag(*flag)),
            Value::Number(number) => constant(Term::Json(number.clone())),
            _ => Err(format!("must be an expression, not {}", node.describe())),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parts = tokens.split(|t| *t == Token::Pipe);
        let mut terms = Vec::new();
        for (i, token) in parts.next().unwrap_or_default().iter().enumerate() {
            match (i % 2, token) {
                (1, Token::Word(word)) if word == "or" => {}
                (1, _) => return Err(between(text)),
                (_, Token::Quoted(text)) => terms.push(Term::Text(text.clone())),
                (_, Token::Word(word)) => terms.push(term(word)?),
                (_, Token::Pipe) => {}
            }
        }
        let words = tokens.iter().take_while(|t| **t != Token::Pipe).count();
        if words % 2 == 0 {
            return Err("expected a path, 'text' or constant".into());
        }
        let filters = parts
            .map(|part| match part {
                [Token::Word(name), args @ ..] => Ok(Filter {
                    name: name.clone(),
                    args: args.iter().filter_map(Token::argument).collect(),
                }),
                _ => Err("expected a filter after `|`".to_owned()),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { terms, filters })
    }
}

/// That there are words one after the other; perhaps they are a text.
fn between(text: &str) -> String {
    let words = text.split('|').next().unwrap_or_default().trim();
    let mut message = "expected `or` or `|` between terms".to_owned();
    if !words.contains('\'') {
        message.push_str(&format!("; a text of its own is written \"'{words}'\""));
    }
    message
}

fn term(word: &str) -> Result<Term, String> {
    match word {
        "true" => return Ok(Term::Flag(true)),
        "false" => return Ok(Term::Flag(false)),
        "null" | "[]" | "{}" => return Ok(Term::Json(word.to_owned())),
        "or" => return Err("expected a path, 'text' or constant before `or`".into()),
        _ => {}
    }
    if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return match serde_json::from_str::<serde_json::Number>(word) {
            Ok(number) => Ok(Term::Json(number.to_string())),
            Err(_) => Err(format!("\"{word}\" is not a number")),
        };
    }
    if word.split('.').any(str::is_empty) {
        return Err(format!("\"{word}\" is not a path"));
    }
    Ok(Term::Path(word.to_owned()))
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Pipe,
}

impl Token {
    fn argument(&self) -> Option<String> {
        match self {
            Self::Word(text) | Self::Quoted(text) => Some(text.clone()),
            Self::Pipe => None,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '|' => {
                tokens.push(Token::Pipe);
                1
            }
            '\'' => {
                let end = rest[1..]
                    .find('\'')
                    .ok_or("a text in single quotes does not end")?;
                tokens.push(Token::Quoted(rest[1..=end].to_owned()));
                end + 2
            }
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || c == '|' || c == '\'')
                    .unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[taken..].trim_start();
    }
    Ok(tokens)
}
