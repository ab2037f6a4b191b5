//! The pages shown over HTTP, as the listener sees them.

use async_trait::async_trait;

/// A body, made piece by piece: whoever sends it lets others work between two of them, so that each takes but a moment to
/// make. A piece may be empty: then work was done for those that follow.
pub type Pieces = Box<dyn Iterator<Item = Vec<u8>>>;

/// The page at a path.
pub struct ShownPage {
    /// The status of the response.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc9110#section-15>
    pub status: u16,
    /// The media type.
    pub media_type: &'static str,
    /// The body.
    pub body: Pieces,
}

/// Pages to look at; looking changes nothing.
#[async_trait(?Send)]
pub trait Pages {
    /// Shows the page at a path with a query, both as they came.
    async fn show(&self, path: &str, query: &str) -> ShownPage;
}

impl ShownPage {
    /// A line or two of plain text.
    pub fn text(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            media_type: "text/plain; charset=utf-8",
            body: Box::new(std::iter::once(text.into().into_bytes())),
        }
    }
}
