//! What is trained: the size of a network and its data, which decide what `"auto"` means.

/// What was trained.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The network.
    pub model: String,
    /// How many weights it has.
    pub parameters: usize,
    /// Whether its gradient jumps, as at the kinks of a ReLU.
    pub has_kinks: bool,
    /// The images.
    pub data: String,
    /// How many of them it is trained on.
    pub images: usize,
    /// How many classes they have.
    pub classes: usize,
}
