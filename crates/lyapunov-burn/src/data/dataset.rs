//! Sets of images to train on and held out, whatever they came from.

use std::path::Path;

use super::{
    cifar,
    images::{ImageFile, Images},
    layout::{self, Layout},
    synthetic,
};
use crate::error::{Error, Result};
use lyapunov::{Purpose, Stream};

/// Images to train on and images held out, each of one of up to 256 classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// What to call it in reports.
    pub name: String,
    /// The training set.
    pub train: Images,
    /// The held-out set.
    pub test: Images,
    /// How many classes the labels name.
    pub classes: usize,
}

impl Dataset {
    /// Reads the files of a published set in `folder`.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder or file that cannot be read, and those of [`Layout::parse`].
    pub fn read(layout: Layout, folder: &Path) -> Result<Self> {
        Self::from_files(layout, |name| layout::read_file(folder, name))
    }

    /// The images in the files of a published set, wherever they are: `file` gives the one of this name, and is asked
    /// for each of them once, in order. Memory: the bytes of the training files beside the images.
    ///
    /// # Errors
    /// Those of `file` and of [`Layout::parse`].
    pub fn from_files(layout: Layout, mut file: impl FnMut(&str) -> Result<ImageFile>) -> Result<Self> {
        let mut images = |names: &[&str]| {
            let files: Vec<_> = names.iter().map(|name| file(name)).collect::<Result<_>>()?;
            layout.parse(&files)
        };
        let (train, test) = (images(layout.training_files())?, images(layout.test_files())?);
        Ok(Self { name: layout.name().into(), train, test, classes: layout.classes() })
    }

    /// Synthetic images of CIFAR's shape: ten classes, each one of five shapes filled with one of two stripe
    /// directions, at a random place, size and colour, under noise. Image i is a pure function of (`seed`, i).
    ///
    /// The images pass through the same reader as files do.
    ///
    /// # Errors
    /// [`lyapunov::Error::Argument`] for an empty set.
    pub fn synthetic(seed: u64, train: usize, test: usize) -> Result<Self> {
        if train == 0 {
            return Err(Error::argument("train", train, "must be positive"));
        }
        Self::synthetic_of(seed, (0..train as u32).collect(), test)
    }

    /// What [`Dataset::subset`] takes from [`Dataset::synthetic`], without making the images that it leaves: `size` of
    /// the `train` training images of `seed`, drawn by the seed `choice`, and all `test` held-out ones.
    ///
    /// **Cost**: a tenth of a millisecond per image that is made, `size` + `test` of them.
    ///
    /// # Errors
    /// Those of both.
    pub fn synthetic_subset(seed: u64, train: usize, test: usize, size: usize, choice: u64) -> Result<Self> {
        Self::synthetic_of(seed, chosen(train, size, choice)?, test)
    }

    fn synthetic_of(seed: u64, train: Vec<u32>, test: usize) -> Result<Self> {
        if test == 0 {
            return Err(Error::argument("test", test, "must be positive"));
        }
        let generate = |first: u64, indices: Vec<u32>| {
            let mut images = Images::default();
            let records = synthetic::records(seed, indices.into_iter().map(|index| first + u64::from(index)));
            cifar::parse_into(&mut images, &cifar::TEN, &records, Path::new("synthetic")).map(|()| images)
        };
        let (train, test) = (generate(0, train)?, generate(synthetic::FIRST_TEST_IMAGE, (0..test as u32).collect())?);
        Ok(Self { name: "synthetic".into(), train, test, classes: Layout::Cifar10.classes() })
    }

    /// Keeps the images of these classes, of both sets; the first class of the list gets the label 0, and so on.
    ///
    /// # Errors
    /// [`lyapunov::Error::Argument`] for fewer than two classes, one that is named twice, one that there is not, and
    /// one without training images.
    pub fn with_classes(mut self, classes: &[u8]) -> Result<Self> {
        let listed = || classes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
        let wrong = |reason: String| Err(Error::argument("classes", format!("[{}]", listed()), reason));
        if classes.len() < 2 {
            return wrong("must name at least two classes".into());
        }
        let mut labels = [None; 256];
        for (label, class) in classes.iter().enumerate() {
            if usize::from(*class) >= self.classes {
                return wrong(format!("must name classes from 0 to {} of {}", self.classes - 1, self.name));
            }
            if labels[usize::from(*class)].replace(label as u8).is_some() {
                return wrong(format!("must not name class {class} twice"));
            }
            if !self.train.labels.contains(class) {
                return wrong(format!("must not name class {class}, of which there are no training images"));
            }
        }
        self.train = self.train.relabelled(&labels);
        self.test = self.test.relabelled(&labels);
        self.name = if classes.len() <= 5 {
            format!("{}[{}]", self.name, listed())
        } else {
            format!("{}[{} of {} classes]", self.name, classes.len(), self.classes)
        };
        self.classes = classes.len();
        Ok(self)
    }

    /// Keeps a random choice of `size` training images, the same for the same `seed`; the held-out set stays whole.
    ///
    /// # Errors
    /// [`lyapunov::Error::Argument`] where there are fewer images, or `size` is zero.
    pub fn subset(mut self, size: usize, seed: u64) -> Result<Self> {
        self.train = self.train.select(&chosen(self.train.len(), size, seed)?);
        Ok(self)
    }
}

/// The first `size` of so many images, in an order that the seed decides.
fn chosen(available: usize, size: usize, seed: u64) -> Result<Vec<u32>> {
    if size == 0 || size > available {
        let reason = format!("must lie between 1 and the number of training images, {available}");
        return Err(Error::argument("subset", size, reason));
    }
    let mut order = Stream::new(seed, Purpose::Choice, 0).permutation(available);
    order.truncate(size);
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_of_made_up_images_is_made_without_the_others() {
        let whole = Dataset::synthetic(4, 30, 3).unwrap();
        assert_eq!(Dataset::synthetic_subset(4, 30, 3, 7, 9).unwrap(), whole.subset(7, 9).unwrap());
        assert!(Dataset::synthetic_subset(4, 30, 3, 31, 9).is_err());
    }

    #[test]
    fn a_subset_is_a_choice_without_repetition() {
        let all = Dataset::synthetic(1, 50, 5).unwrap();
        let some = all.clone().subset(20, 3).unwrap();
        assert_eq!(some.train.len(), 20);
        assert_eq!(some, all.clone().subset(20, 3).unwrap());
        assert_ne!(some, all.clone().subset(20, 4).unwrap());
        let whole = all.clone().subset(50, 3).unwrap();
        let sorted = |images: &Images| {
            let mut rows: Vec<_> = (0..images.len()).map(|i| images.image(i).to_vec()).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(&whole.train), sorted(&all.train));
        assert!(all.subset(51, 3).unwrap_err().to_string().contains("50"));
    }

    #[test]
    fn chosen_classes_are_numbered_as_they_are_listed_in_both_sets() {
        let all = Dataset::synthetic(1, 200, 60).unwrap();
        let some = all.clone().with_classes(&[7, 2]).unwrap();
        assert_eq!((some.classes, some.name.as_str()), (2, "synthetic[7, 2]"));
        let expected = |images: &Images| {
            let kept = (0..images.len()).filter(|i| [7, 2].contains(&images.labels[*i]));
            kept.map(|i| (u8::from(images.labels[i] == 2), images.image(i).to_vec())).collect::<Vec<_>>()
        };
        for (set, whole) in [(&some.train, &all.train), (&some.test, &all.test)] {
            let found: Vec<_> = (0..set.len()).map(|i| (set.labels[i], set.image(i).to_vec())).collect();
            assert_eq!(found, expected(whole));
        }
        let every = all.clone().with_classes(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap();
        assert_eq!((every.train, every.test), (all.train.clone(), all.test.clone()));
        let message = |classes: &[u8]| all.clone().with_classes(classes).unwrap_err().to_string();
        assert!(message(&[]).contains("classes = [] must name at least two classes"));
        assert!(message(&[3]).contains("at least two"));
        assert!(message(&[3, 10]).contains("classes = [3, 10] must name classes from 0 to 9 of synthetic"));
        assert!(message(&[3, 1, 3]).contains("class 3 twice"));
        let few = Dataset::synthetic(1, 5, 60).unwrap();
        let missing = (0..10).find(|class| !few.train.labels.contains(class)).unwrap();
        let message = few.clone().with_classes(&[few.train.labels[0], missing]).unwrap_err().to_string();
        assert!(message.contains(&format!("class {missing}, of which there are no training images")), "{message}");
    }

    #[test]
    fn a_missing_folder_or_file_is_named() {
        let error = Dataset::read(Layout::Cifar10, Path::new("/no/such/folder")).unwrap_err().to_string();
        assert!(error.contains("/no/such/folder") && error.contains("no such folder"), "{error}");
        let error = Dataset::read(Layout::Cifar100, &std::env::temp_dir()).unwrap_err().to_string();
        assert!(error.contains("train.bin"), "{error}");
    }
}
