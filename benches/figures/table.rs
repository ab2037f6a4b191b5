//! What is printed.

/// A figure beside its floor and its limit.
struct Row {
    figure: String,
    unit: &'static str,
    ours: f64,
    floor: Option<f64>,
    limit: Option<f64>,
}

/// All figures.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// A figure without a limit.
    pub fn told(&mut self, figure: impl Into<String>, unit: &'static str, ours: f64) {
        self.0.push(Row {
            figure: figure.into(),
            unit,
            ours,
            floor: None,
            limit: None,
        });
    }

    /// A figure that may be as large as the limit.
    pub fn figure(&mut self, figure: impl Into<String>, unit: &'static str, ours: f64, limit: f64) {
        self.0.push(Row {
            figure: figure.into(),
            unit,
            ours,
            floor: None,
            limit: Some(limit),
        });
    }

    /// A figure that may be larger than the floor by `allowance`.
    pub fn beside(
        &mut self,
        figure: impl Into<String>,
        unit: &'static str,
        ours: f64,
        floor: f64,
        allowance: f64,
    ) {
        self.0.push(Row {
            figure: figure.into(),
            unit,
            ours,
            floor: Some(floor),
            limit: Some(floor + allowance),
        });
    }

    /// Prints it as Markdown.
    pub fn print(&self) {
        println!("| figure | ours | floor | limit | met |\n| --- | --- | --- | --- | --- |");
        for Row {
            figure,
            unit,
            ours,
            floor,
            limit,
        } in &self.0
        {
            let written = |figure: &Option<f64>| {
                figure.map_or("-".to_owned(), |figure| format!("{figure:.1} {unit}"))
            };
            let met = limit.map_or("-", |limit| if *ours <= limit { "yes" } else { "no" });
            println!(
                "| {figure} | {ours:.1} {unit} | {} | {} | {met} |",
                written(floor),
                written(limit)
            );
        }
    }
}
