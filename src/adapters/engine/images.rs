//! The labels of images. The engine passes them on to the containers that are started of an image, where they look as if
//! whoever started it had written them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{ANSWER_LIMIT, DockerEngine, asking::not_understood, decode};
use crate::{
    observe::{Bearer, Interest},
    ports::{EngineError, Remark},
    values::Digest,
};

/// The call as messages name it.
const IMAGE: &str = "GET /images/{id}/json";

/// The labels of images that were asked for.
#[derive(Debug, Default)]
pub(super) struct Images(RefCell<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The labels of each, by its id: an id never changes its content. None where they could not be read.
    labels: BTreeMap<Digest, Option<BTreeMap<String, String>>>,
    /// The images that a remark has named as unreadable.
    told: BTreeSet<Digest>,
}

impl Images {
    /// Has those asked for again that could not be read.
    pub(super) fn forget_unread(&self) {
        self.0
            .borrow_mut()
            .labels
            .retain(|_, labels| labels.is_some());
    }

    fn is_known(&self, image: Digest) -> bool {
        self.0.borrow().labels.contains_key(&image)
    }

    /// True if the log has not named this image yet.
    fn is_news(&self, image: Digest) -> bool {
        self.0.borrow_mut().told.insert(image)
    }

    fn keep(&self, image: Digest, labels: Option<BTreeMap<String, String>>) {
        self.0.borrow_mut().labels.insert(image, labels);
    }

    /// Those of the bearer's labels that the image has, too, with the same value.
    fn common(&self, image: Digest, bearer: &Bearer, labels: &[String]) -> Box<[String]> {
        let known = self.0.borrow();
        let Some(of_image) = known.labels.get(&image).and_then(Option::as_ref) else {
            return Box::default();
        };
        let is_common = |label: &&String| {
            let value = bearer.labels.get(*label);
            value.is_some() && value == of_image.get(*label)
        };
        labels.iter().filter(is_common).cloned().collect()
    }
}

impl DockerEngine {
    /// Fills in which labels a bearer has of its image, as far as that is of interest; asks for each image once.
    pub(super) async fn find_labels_of_image(
        &self,
        bearer: &mut Bearer,
        interest: &Interest,
    ) -> Result<(), EngineError> {
        let mut labels = interest.of_image.iter();
        let is_of_interest = labels.any(|label| bearer.labels.contains_key(label));
        let Some(image) = bearer.image.filter(|_| is_of_interest) else {
            return Ok(());
        };
        if !self.images.is_known(image) {
            let labels = self.labels_or_none(image, bearer).await?;
            self.images.keep(image, labels);
        }
        bearer.of_image = self.images.common(image, bearer, &interest.of_image);
        Ok(())
    }

    /// The labels of an image; none, which is reported once, where a filter before the engine keeps them from us, or
    /// the image was removed.
    async fn labels_or_none(
        &self,
        image: Digest,
        bearer: &Bearer,
    ) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        match self.labels_of_image(image).await {
            Ok(labels) => Ok(Some(labels)),
            Err(
                error @ (EngineError::Denied { .. }
                | EngineError::Refused { .. }
                | EngineError::NotUnderstood { .. }),
            ) => {
                if self.images.is_news(image) {
                    (self.remarks)(Remark::ImageUnseen {
                        container: bearer.name.clone(),
                        problem: error.to_string(),
                    });
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The labels of the image with this id.
    ///
    /// <https://docs.docker.com/reference/api/engine/version/v1.51/#tag/Image/operation/ImageInspect>
    ///
    /// # Errors
    /// When the engine can't be asked for it, or has no such image.
    pub async fn labels_of_image(
        &self,
        image: Digest,
    ) -> Result<BTreeMap<String, String>, EngineError> {
        let path = format!("/images/sha256:{image}/json");
        let answer = self.read(IMAGE, &path, ANSWER_LIMIT).await?;
        decode::labels_of_image(&answer).map_err(|problem| not_understood(IMAGE, problem))
    }
}
