//! What a test of explanations found, as sections of tables and figures: one content for every format of a report.
//!
//! A figure only draws what a table of the same section says, so formats without figures lose nothing.

/// A report.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its first line.
    pub title: String,
    /// What the reader must know before the first section.
    pub notes: Vec<String>,
    /// In order.
    pub sections: Vec<Section>,
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Name in JSON and in links: lower case, underscores.
    pub key: &'static str,
    pub title: &'static str,
    /// Definition, and how to read the figures.
    pub explains: String,
    /// The answer, or why there is none: a fragment that fits "not computed because ...".
    pub content: Result<Content, String>,
}

/// What a section found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// In order.
    pub tables: Vec<Table>,
    /// In order.
    pub figures: Vec<Figure>,
    /// Sentences under the tables.
    pub notes: Vec<String>,
}

/// Rows under named columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name in JSON, one of its kind in the section.
    pub key: &'static str,
    /// Column headings.
    pub columns: Vec<Column>,
    /// As many cells in each as there are columns.
    pub rows: Vec<Vec<Cell>>,
    /// Who reads it.
    pub readers: Readers,
}

/// Who a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Every format has it.
    All,
    /// Only JSON: people see the figure.
    Programs,
}

/// The head of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name in JSON.
    pub key: String,
    /// Heading; a unit follows a comma.
    pub title: String,
}

/// One value of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A name.
    Text(String),
    /// A finite number; people see four digits of it.
    Number(f64),
    /// Finite numbers: a middle one between the ends of what was found.
    Range {
        /// The one to read.
        middle: f64,
        least: f64,
        greatest: f64,
    },
    Count(u64),
    /// There is no such value here: undefined, or not asked for.
    Missing,
}

/// A drawing of what a table says.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// Name of the file where figures are files: lower case, underscores.
    pub key: &'static str,
    /// What is drawn, for people who cannot see it too.
    pub caption: String,
    /// A whole SVG document.
    pub svg: String,
}

impl Column {
    /// `title` is for people.
    pub fn new(key: impl Into<String>, title: impl Into<String>) -> Self {
        Self { key: key.into(), title: title.into() }
    }
}

impl Table {
    /// Of columns by key and title.
    ///
    /// # Panics
    /// When a row has more or fewer cells than there are columns.
    pub fn new(key: &'static str, columns: &[(&str, &str)], rows: Vec<Vec<Cell>>) -> Self {
        assert!(rows.iter().all(|row| row.len() == columns.len()), "every row of '{key}' has a cell for every column");
        let columns = columns.iter().map(|&(key, title)| Column::new(key, title)).collect();
        Self { key, columns, rows, readers: Readers::All }
    }

    /// The same for programs only.
    pub fn data_only(self) -> Self {
        Self { readers: Readers::Programs, ..self }
    }

    /// Whether people see it.
    pub fn is_for_people(&self) -> bool {
        self.readers == Readers::All
    }
}

impl From<f64> for Cell {
    /// What is no finite number is missing.
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Number(value) } else { Self::Missing }
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}
