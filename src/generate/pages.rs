//! What the command `render` has done, in numbers for whoever collects them.

use std::{cell::RefCell, rc::Rc};

use async_trait::async_trait;

use crate::{
    ports::{Pages, ShownPage},
    report::{
        Listening, Measuring, listen, measuring,
        metrics::{PLAIN_MEDIA_TYPE, RenderNumbers},
    },
};

/// The numbers of this program, counted as long as it is there.
pub struct RenderPages {
    numbers: Rc<RefCell<RenderNumbers>>,
    _listening: Listening,
    _measuring: Measuring,
}

impl RenderPages {
    /// Counts from now on.
    pub fn begin() -> Self {
        let numbers = Rc::<RefCell<RenderNumbers>>::default();
        let (of_events, of_times) = (Rc::clone(&numbers), Rc::clone(&numbers));
        Self {
            numbers,
            _listening: listen(move |event| of_events.borrow_mut().count_event(event.name())),
            _measuring: measuring(move |what, took| of_times.borrow_mut().count(what, took)),
        }
    }
}

#[async_trait(?Send)]
impl Pages for RenderPages {
    async fn show(&self, path: &str, _: &str) -> ShownPage {
        match path {
            // docker-pygen showed them at every path.
            "/metrics" | "/" => ShownPage {
                media_type: PLAIN_MEDIA_TYPE,
                ..ShownPage::text(200, self.numbers.borrow().text())
            },
            _ => ShownPage::text(404, "there is no such page; see /metrics\n"),
        }
    }
}
