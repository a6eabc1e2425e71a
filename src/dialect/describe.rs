//! A dialect as a table for people.

use std::fmt::Write;

use super::{Dialect, look, outbound::hearer_name, vocabulary::EVENTS};

impl Dialect {
    /// Every event of the dialect in both directions, for `porchlight dialect show`.
    pub fn describe(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.description.trim());

        let mut rows = vec![row(["A client says", "command", "with", "and is acked"])];
        for (event, rule) in self.names.iter().zip(&self.rules) {
            let ack = &look::list(&rule.ack.as_ref().unwrap_or(&self.ack).looks);
            for (i, alternative) in rule.alternatives.iter().enumerate() {
                let arguments = &look::list(&alternative.looks);
                rows.push(match i {
                    0 => row([event, rule.command, arguments, ack]),
                    _ => row(["", "", arguments, ""]),
                });
            }
        }
        table(&mut text, &rows);

        let mut rows = vec![row(["A client hears", "when", "as", "with"])];
        for words in &self.greet {
            rows.push(row([&words.name, "it connects", "", &words.sketch()]));
        }
        for rule in self.out.iter().flatten() {
            let (on, _) = EVENTS[rule.on];
            let mark = if rule.conditions.is_empty() { "" } else { " *" };
            let to: Vec<_> = rule.to.iter().copied().map(hearer_name).collect();
            let when = format!("{on}{mark}");
            rows.push(row([
                &rule.words.name,
                &when,
                &to.join(", "),
                &rule.words.sketch(),
            ]));
        }
        for (event, rule) in self.names.iter().zip(&self.rules) {
            let when = format!("{event} succeeds");
            for words in rule.answers.iter().map(|answer| &answer.words) {
                rows.push(row([&words.name, &when, "origin", &words.sketch()]));
            }
            if let Some(words) = &rule.error {
                let when = format!("{event} is refused");
                rows.push(row([&words.name, &when, "origin", &words.sketch()]));
            }
        }
        if let Some(words) = &self.error {
            rows.push(row([
                &words.name,
                "an event is refused",
                "origin",
                &words.sketch(),
            ]));
        }
        table(&mut text, &rows);
        if self.out.iter().flatten().any(|r| !r.conditions.is_empty()) {
            text.push_str("* under a condition\n");
        }
        if self.follows {
            text.push_str(
                "Connections hear all conversations of their user, without joining them.\n",
            );
        }

        let mut rows = vec![row(["Shape", "with"])];
        let shapes = self.shapes.iter();
        rows.extend(shapes.map(|s| row([&s.name, &format!("{{{}}}", look::members(&s.parts))])));
        table(&mut text, &rows);
        let refusal = look::list(&self.ack_error.looks);
        let _ = writeln!(text, "\nA refused event is acked {refusal}");
        text
    }
}

fn row<const N: usize>(cells: [&str; N]) -> [String; N] {
    cells.map(str::to_owned)
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
