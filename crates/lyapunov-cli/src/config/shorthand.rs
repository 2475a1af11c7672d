//! Names of models that say depth and widths as well, in the way of their papers.

use lyapunov_burn::ModelName;

/// A name of a model that says its depth and widths as well.
#[derive(Debug, PartialEq)]
pub struct Shorthand {
    /// The kind of network.
    pub model: ModelName,
    /// `model.depth`.
    pub depth: i64,
    /// `model.widths`.
    pub widths: Vec<i64>,
}

impl Shorthand {
    /// `wide-resnet-DEPTH-FACTOR`, the factor being that of the channels in the stages, and `densenetDEPTH-GROWTH`.
    pub fn read(name: &str) -> Option<Self> {
        let numbers = |rest: &str| -> Option<(i64, i64)> {
            let (first, second) = rest.split_once('-')?;
            let number = |text: &str| text.parse().ok().filter(|n| (1..=1000).contains(n));
            Some((number(first)?, number(second)?))
        };
        if let Some((depth, growth)) = name.strip_prefix("densenet").and_then(numbers) {
            return Some(Self { model: ModelName::Densenet, depth, widths: vec![16, growth] });
        }
        let (depth, factor) = numbers(name.strip_prefix("wide-resnet-")?)?;
        let widths = vec![16, 16 * factor, 32 * factor, 64 * factor];
        Some(Self { model: ModelName::WideResnet, depth, widths })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_papers_are_read_and_others_are_not() {
        let read = |name| Shorthand::read(name).map(|named| (named.model, named.depth, named.widths));
        assert_eq!(read("wide-resnet-28-10"), Some((ModelName::WideResnet, 28, vec![16, 160, 320, 640])));
        assert_eq!(read("densenet40-12"), Some((ModelName::Densenet, 40, vec![16, 12])));
        for name in
            ["wide-resnet", "wide-resnet-28", "wide-resnet-a-4", "wide-resnet-16-0", "densenet40", "densenet-40-12"]
        {
            assert_eq!(read(name), None, "{name}");
        }
    }
}
