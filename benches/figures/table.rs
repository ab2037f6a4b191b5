//! The printed table in Markdown: each row comes as soon as it is known, so that a later failure hides nothing.

/// Prints a heading, and rows below it.
pub struct Table(());

impl Table {
    /// Prints the heading.
    pub fn begin() -> Self {
        println!("| figure | ours | floor | limit | met |\n| --- | --- | --- | --- | --- |");
        Self(())
    }

    /// A figure without a limit.
    pub fn told(&mut self, figure: impl Into<String>, unit: &str, ours: f64) {
        self.row(&figure.into(), unit, ours, None, None);
    }

    /// A figure that may be as large as the limit.
    pub fn figure(&mut self, figure: impl Into<String>, unit: &str, ours: f64, limit: f64) {
        self.row(&figure.into(), unit, ours, None, Some(limit));
    }

    /// A figure that may be larger than the floor by `allowance`.
    pub fn beside(
        &mut self,
        figure: impl Into<String>,
        unit: &str,
        ours: f64,
        floor: f64,
        allowance: f64,
    ) {
        let limit = floor + allowance;
        self.row(&figure.into(), unit, ours, Some(floor), Some(limit));
    }

    fn row(&mut self, figure: &str, unit: &str, ours: f64, floor: Option<f64>, limit: Option<f64>) {
        let written = |figure: Option<f64>| {
            figure.map_or("-".to_owned(), |figure| format!("{figure:.1} {unit}"))
        };
        let met = match limit {
            None => "-",
            Some(limit) if ours <= limit => "yes",
            Some(_) => "no",
        };
        let (floor, limit) = (written(floor), written(limit));
        println!("| {figure} | {ours:.1} {unit} | {floor} | {limit} | {met} |");
    }
}
