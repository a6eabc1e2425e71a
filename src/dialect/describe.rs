//! A dialect as a table for people.

use std::fmt::Write;

use crate::chat::Hearer;

use super::{Dialect, outbound::hearer_name, vocabulary::EVENTS};

impl Dialect {
    /// Every event of the dialect in both directions, for `porchlight dialect show`.
    pub fn describe(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.description.trim());

        let mut rows =
            vec![["A client says", "meaning", "and is acked", "and hears"].map(str::to_owned)];
        for rule in &self.rules {
            let ack = rule.ack.as_ref().unwrap_or(&self.ack);
            let answers: Vec<_> = rule.answers.iter().map(|a| a.words.name.as_str()).collect();
            for (i, alternative) in rule.alternatives.iter().enumerate() {
                let says = format!("{} {}", rule.event, alternative.sketch);
                rows.push(match i {
                    0 => [
                        says,
                        rule.command.to_owned(),
                        ack.sketch.clone(),
                        answers.join(", "),
                    ],
                    _ => [says, "\"".to_owned(), "\"".to_owned(), String::new()],
                });
            }
        }
        table(&mut text, &rows);

        let mut rows = vec![["A client hears", "when", "on"].map(str::to_owned)];
        for words in &self.greet {
            let hears = format!("{} {}", words.name, words.sketch);
            rows.push([hears, "it connects".into(), String::new()]);
        }
        for rule in self.out.iter().flatten() {
            let hears = format!("{} {}", rule.words.name, rule.words.sketch);
            let more = if rule.conditions.is_empty() {
                ""
            } else {
                ", if"
            };
            let to: Vec<_> = rule.to.iter().copied().map(hearer_name).collect();
            let to = match to.len() == Hearer::ALL.len() {
                true => "every connection".to_owned(),
                false => to.join(", "),
            };
            rows.push([hears, format!("{}{more}", EVENTS[rule.on].0), to]);
        }
        let errors = self
            .rules
            .iter()
            .filter_map(|r| Some((r.event.as_str(), r.error.as_ref()?)));
        let any = self.error.as_ref().map(|words| ("an event", words));
        for (event, words) in any.into_iter().chain(errors) {
            let hears = format!("{} {}", words.name, words.sketch);
            rows.push([hears, format!("{event} is refused"), "origin".into()]);
        }
        table(&mut text, &rows);
        let _ = writeln!(text, "\nA refused event is acked {}", self.ack_error.sketch);
        text
    }
}

/// Appends rows with their columns aligned.
fn table<const N: usize>(text: &mut String, rows: &[[String; N]]) {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    text.push('\n');
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
