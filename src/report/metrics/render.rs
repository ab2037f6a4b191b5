use std::{collections::BTreeMap, fmt::Write, time::Duration};

use super::text::push_escaped;
use crate::report::Measure;

/// The media type of the text. The names of docker-pygen's counters are none that OpenMetrics would take.
///
/// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
pub const PLAIN_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The upper bounds of the parts into which questions to the engine are counted, in seconds: those of docker-pygen.
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// What the command `render` has done since it began, counted under the names that docker-pygen has for it.
#[derive(Debug, Default)]
pub struct RenderNumbers {
    times: BTreeMap<Measure, (u64, Duration)>,
    /// Of questions to the engine, how many took no longer than each bound.
    looks: [u64; BOUNDS.len()],
    template_errors: u64,
    action_errors: u64,
}

impl RenderNumbers {
    /// Counts something that took a while.
    pub fn count(&mut self, what: &Measure, took: Duration) {
        let (count, sum) = self.times.entry(what.clone()).or_default();
        *count += 1;
        *sum += took;
        if *what == Measure::Look {
            let bounds = BOUNDS.iter().zip(&mut self.looks);
            let above = bounds.filter(|(bound, _)| took.as_secs_f64() <= **bound);
            above.for_each(|(_, count)| *count += 1);
        }
    }

    /// Counts an event by its name.
    pub fn count_event(&mut self, name: &str) {
        match name {
            "template-broken" => self.template_errors += 1,
            "not-told" => self.action_errors += 1,
            _ => {}
        }
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        begin(&mut text, "pygen_app_info", "gauge", "Application info");
        let _ = writeln!(
            text,
            "pygen_app_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        );
        self.times_of(
            &mut text,
            "pygen_generation_seconds",
            "Rendering all templates",
            |what| matches!(what, Measure::Generation).then(Vec::new),
        );
        self.times_of(
            &mut text,
            "pygen_target_update_seconds",
            "Rendering all templates, and putting new files in place",
            |what| matches!(what, Measure::TargetUpdate).then(Vec::new),
        );
        count(
            &mut text,
            "pygen_template_errors",
            "Templates that began to fail",
            self.template_errors,
        );
        self.actions(&mut text);
        count(
            &mut text,
            "pygen_action_errors",
            "Signals and restarts that the engine did not do",
            self.action_errors,
        );
        self.looks(&mut text);
        text
    }

    fn actions(&self, text: &mut String) {
        let name = "pygen_action_execution_strategy_seconds";
        begin(text, name, "summary", "Signals and restarts");
        let actions = self
            .times
            .iter()
            .filter(|(what, _)| matches!(what, Measure::Signal { .. } | Measure::Restart { .. }));
        let all = actions.fold((0, Duration::ZERO), |(count, sum), (_, time)| {
            (count + time.0, sum + time.1)
        });
        summary(text, name, &[("strategy", "local")], all);
        self.times_of(
            text,
            "pygen_restart_action_seconds",
            "Restarts",
            |what| match what {
                Measure::Restart { target } => Some(vec![("target", target.as_str())]),
                _ => None,
            },
        );
        self.times_of(
            text,
            "pygen_signal_action_seconds",
            "Signals",
            |what| match what {
                Measure::Signal { target, signal } => Some(vec![
                    ("signal", signal.as_str()),
                    ("target", target.as_str()),
                ]),
                _ => None,
            },
        );
    }

    fn looks(&self, text: &mut String) {
        let name = "pygen_api_containers_seconds";
        begin(
            text,
            name,
            "histogram",
            "Asking the engine for all containers",
        );
        let (all, sum) = self.times.get(&Measure::Look).copied().unwrap_or_default();
        for (bound, count) in BOUNDS.iter().zip(self.looks) {
            let _ = writeln!(
                text,
                "{name}_bucket{{le=\"{bound:?}\",list_all=\"0\"}} {count}"
            );
        }
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\",list_all=\"0\"}} {all}");
        summary(text, name, &[("list_all", "0")], (all, sum));
    }

    /// A summary of what `labels` gives labels to.
    fn times_of<'m>(
        &'m self,
        text: &mut String,
        name: &str,
        doc: &str,
        labels: impl Fn(&'m Measure) -> Option<Vec<(&'static str, &'m str)>>,
    ) {
        begin(text, name, "summary", doc);
        let mut is_any = false;
        for (what, time) in &self.times {
            if let Some(labels) = labels(what) {
                summary(text, name, &labels, *time);
                is_any |= labels.is_empty();
            }
        }
        // One without labels is there from the start, as it was there.
        if !is_any
            && matches!(
                name,
                "pygen_generation_seconds" | "pygen_target_update_seconds"
            )
        {
            summary(text, name, &[], Default::default());
        }
    }
}

fn begin(text: &mut String, name: &str, kind: &str, doc: &str) {
    let _ = writeln!(text, "# HELP {name} {doc}\n# TYPE {name} {kind}");
}

fn count(text: &mut String, name: &str, doc: &str, value: u64) {
    begin(text, name, "counter", doc);
    let _ = writeln!(text, "{name} {value}");
}

fn summary(text: &mut String, name: &str, labels: &[(&str, &str)], (count, sum): (u64, Duration)) {
    let mut written = String::new();
    for (place, (label, word)) in labels.iter().enumerate() {
        written.push_str(if place == 0 { "{" } else { "," });
        let _ = write!(written, "{label}=\"");
        push_escaped(&mut written, word);
        written.push('"');
    }
    if !labels.is_empty() {
        written.push('}');
    }
    let _ = writeln!(
        text,
        "{name}_count{written} {count}\n{name}_sum{written} {}",
        sum.as_secs_f64()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_rendered_is_counted_under_the_names_that_dashboards_of_docker_pygen_have() {
        let mut numbers = RenderNumbers::default();
        let empty = numbers.text();
        assert!(
            empty.contains("pygen_generation_seconds_count 0\n"),
            "{empty}"
        );
        let ms = Duration::from_millis;
        numbers.count(&Measure::Generation, ms(250));
        numbers.count(&Measure::Generation, ms(250));
        numbers.count(&Measure::TargetUpdate, ms(500));
        numbers.count(&Measure::Look, ms(60));
        let (target, signal) = ("nginx\"x".to_owned(), "HUP".to_owned());
        numbers.count(&Measure::Signal { target, signal }, ms(100));
        let target = "app".to_owned();
        numbers.count(&Measure::Restart { target }, ms(1500));
        ["template-broken", "not-told", "not-told", "started"]
            .iter()
            .for_each(|name| numbers.count_event(name));
        let text = numbers.text();
        for line in [
            "# TYPE pygen_generation_seconds summary",
            "pygen_generation_seconds_count 2",
            "pygen_generation_seconds_sum 0.5",
            "pygen_target_update_seconds_count 1",
            "pygen_template_errors 1",
            "pygen_action_errors 2",
            "pygen_action_execution_strategy_seconds_count{strategy=\"local\"} 2",
            "pygen_action_execution_strategy_seconds_sum{strategy=\"local\"} 1.6",
            "pygen_signal_action_seconds_count{signal=\"HUP\",target=\"nginx\\\"x\"} 1",
            "pygen_restart_action_seconds_sum{target=\"app\"} 1.5",
            "# TYPE pygen_api_containers_seconds histogram",
            "pygen_api_containers_seconds_bucket{le=\"0.05\",list_all=\"0\"} 0",
            "pygen_api_containers_seconds_bucket{le=\"0.075\",list_all=\"0\"} 1",
            "pygen_api_containers_seconds_bucket{le=\"1.0\",list_all=\"0\"} 1",
            "pygen_api_containers_seconds_bucket{le=\"+Inf\",list_all=\"0\"} 1",
            "pygen_api_containers_seconds_count{list_all=\"0\"} 1",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line}: {text}"
            );
        }
    }
}
