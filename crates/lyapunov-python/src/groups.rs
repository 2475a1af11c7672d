//! The optimizer of torch as one rule of the core: each group of parameters has its own learning rate, decay and rule.

use lyapunov::{Decay, Edge, Moment, UpdateRule, Vector as _};

use crate::tensor::Tensor;

/// A vector that can be cut into stretches, as weights and whatever an optimizer remembers of each.
pub trait Stretches: Sized {
    /// A copy of `length` entries from `start` on, of each part.
    fn stretch(&self, start: usize, length: usize) -> Self;

    /// Puts a stretch back where it was taken.
    fn put(&mut self, start: usize, stretch: &Self);
}

impl Stretches for Tensor {
    fn stretch(&self, start: usize, length: usize) -> Self {
        self.narrow(start, length).clone()
    }

    fn put(&mut self, start: usize, stretch: &Self) {
        self.narrow(start, stretch.len()).copy(stretch);
    }
}

impl<A: Stretches, B: Stretches> Stretches for (A, B) {
    fn stretch(&self, start: usize, length: usize) -> Self {
        (self.0.stretch(start, length), self.1.stretch(start, length))
    }

    fn put(&mut self, start: usize, stretch: &Self) {
        self.0.put(start, &stretch.0);
        self.1.put(start, &stretch.1);
    }
}

/// A group of parameters that lie side by side in the vector of weights.
#[derive(Clone)]
pub struct Group<R> {
    pub rule: R,
    pub length: usize,
    pub learning_rate: f64,
    pub decay: Decay,
}

impl<R: UpdateRule<Tensor>> Group<R> {
    /// Gradient of loss and coupled decay at the weights of `state`.
    fn effective(&self, state: &R::State, mut gradient: Tensor) -> Tensor {
        if self.decay.rate > 0.0 && !self.decay.decoupled {
            gradient.axpy(self.decay.rate, R::weights(state));
        }
        gradient
    }

    fn shrink(&self, state: &mut R::State) {
        if self.decay.rate > 0.0 && self.decay.decoupled {
            R::weights_mut(state).scale(1.0 - self.learning_rate * self.decay.rate);
        }
    }

    fn moment(&self, moment: Moment) -> Moment {
        Moment { learning_rate: self.learning_rate, ..moment }
    }
}

/// The groups, in the order in which their parameters stand in the vector of weights.
#[derive(Clone)]
pub struct Groups<R>(pub Vec<Group<R>>);

impl<R> Groups<R> {
    /// The groups with the places where they start.
    fn spans(&self) -> impl Iterator<Item = (usize, &Group<R>)> {
        self.0.iter().scan(0, |start, group| {
            let own = *start;
            *start += group.length;
            Some((own, group))
        })
    }
}

impl<R: UpdateRule<Tensor>> UpdateRule<Tensor> for Groups<R>
where
    R::State: Stretches,
{
    type State = R::State;

    fn start(&self, weights: Tensor) -> R::State {
        self.0[0].rule.start(weights)
    }

    fn weights(state: &R::State) -> &Tensor {
        R::weights(state)
    }

    fn weights_mut(state: &mut R::State) -> &mut Tensor {
        R::weights_mut(state)
    }

    fn update(&self, state: &mut R::State, gradient: &Tensor, moment: Moment) {
        for (start, group) in self.spans() {
            let mut part = state.stretch(start, group.length);
            let effective = group.effective(&part, gradient.stretch(start, group.length));
            group.shrink(&mut part);
            group.rule.update(&mut part, &effective, group.moment(moment));
            state.put(start, &part);
        }
    }

    fn tangent(&self, state: &R::State, gradient: &Tensor, deviation: &mut R::State, image: &Tensor, moment: Moment) {
        for (start, group) in self.spans() {
            let (part, mut moved) = (state.stretch(start, group.length), deviation.stretch(start, group.length));
            let effective = group.effective(&part, gradient.stretch(start, group.length));
            let turned = group.effective(&moved, image.stretch(start, group.length));
            group.shrink(&mut moved);
            group.rule.tangent(&part, &effective, &mut moved, &turned, group.moment(moment));
            deviation.put(start, &moved);
        }
    }

    /// That of the first group.
    fn edge(&self, _learning_rate: f64, _decay: Decay) -> Edge {
        let group = &self.0[0];
        group.rule.edge(group.learning_rate, group.decay)
    }

    fn momentum(&self, state: &R::State, gradient: &Tensor, moment: Moment) -> Tensor {
        let mut momentum = gradient.clone();
        for (start, group) in self.spans() {
            let part = state.stretch(start, group.length);
            let effective = group.effective(&part, gradient.stretch(start, group.length));
            momentum.put(start, &group.rule.momentum(&part, &effective, group.moment(moment)));
        }
        momentum
    }
}
