//! The door between kernels and Burn: an operation is slices in, slices out, with its gradients; here it meets tensors
//! and the graph that records them.

use std::{fmt::Debug, sync::Arc};

use burn::{
    backend::{
        AllocationProperty, Autodiff, Backend, Dispatch, DispatchTensor, Flex, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        flex::{FlexTensor, Layout},
        tensor::FloatTensor,
    },
    tensor::{Bytes, DType, Element, Shape},
};

use crate::kernels::{Numbers, Real, Workspace};

/// What an operation keeps for its gradients.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keeps {
    /// An input.
    Input(usize),
    /// The output.
    Output,
}

/// A map of tensors to one, with its gradients.
pub(super) trait Operation: Debug + Send + Sync + 'static {
    /// The shape of the output, from those of the inputs.
    fn shape(&self, inputs: &[Shape]) -> Vec<usize>;

    /// What the gradients need again; what [`Operation::forward`] returns beside the output stands behind it.
    fn keeps(&self) -> Vec<Keeps>;

    /// Writes the output.
    fn forward<T: Real>(&self, space: &Workspace, inputs: &[&[T]], output: &mut [T]) -> Option<Numbers>;

    /// The gradients in the inputs that are `wanted`, of the gradient `u` of the output.
    fn gradients<T: Real>(&self, space: &Workspace, kept: &[&[T]], u: &[T], wanted: &[bool]) -> Vec<Option<Numbers>>;
}

/// An operation on tensors of any kind of number.
pub(super) trait Erased: Debug + Send + Sync {
    /// The output and, where it is `recorded`, what its gradients need.
    fn forward(&self, inputs: &[FlexTensor], recorded: bool) -> (FlexTensor, Vec<FlexTensor>);

    /// The gradients that are wanted: as many numbers as the input has.
    fn gradients(&self, kept: &[FlexTensor], u: &FlexTensor, wanted: &[bool]) -> Vec<Option<Bytes>>;
}

/// Calls the function for the kind of number.
macro_rules! typed {
    ($tensor:expr, $function:ident($($argument:expr),*)) => {
        match $tensor.dtype() {
            DType::F32 => $function::<f32, _>($($argument),*),
            DType::F64 => $function::<f64, _>($($argument),*),
            other => unreachable!("kernels are for f32 and f64, not {other:?}"),
        }
    };
}

impl<O: Operation> Erased for O {
    fn forward(&self, inputs: &[FlexTensor], recorded: bool) -> (FlexTensor, Vec<FlexTensor>) {
        typed!(inputs[0], forward(self, inputs, recorded))
    }

    fn gradients(&self, kept: &[FlexTensor], u: &FlexTensor, wanted: &[bool]) -> Vec<Option<Bytes>> {
        typed!(u, gradients(self, kept, u, wanted))
    }
}

fn forward<T: Real + Element, O: Operation>(
    operation: &O,
    inputs: &[FlexTensor],
    recorded: bool,
) -> (FlexTensor, Vec<FlexTensor>) {
    let (space, dtype) = (Workspace::current(), inputs[0].dtype());
    let inputs: Vec<FlexTensor> = inputs.iter().map(in_one_piece::<T>).collect();
    let shape = operation.shape(&inputs.iter().map(TensorMetadata::shape).collect::<Vec<_>>());
    let mut output = space.numbers::<T>(shape.iter().product());
    let more = operation.forward(&space, &slices::<T>(&inputs), output.slice_mut());
    let tensor = |bytes: Bytes, shape: Vec<usize>| FlexTensor::new(bytes, Layout::contiguous(shape.into()), dtype);
    let output = tensor(shared(output), shape);
    if !recorded {
        return (output, Vec::new());
    }
    let keep = |keeps: Keeps| match keeps {
        Keeps::Input(index) => inputs[index].clone(),
        Keeps::Output => output.clone(),
    };
    let more = more.map(|numbers| {
        let length = numbers.slice::<T>().len();
        tensor(shared(numbers), vec![length])
    });
    let kept = operation.keeps().into_iter().map(keep).chain(more).collect();
    (output, kept)
}

fn gradients<T: Real + Element, O: Operation>(
    operation: &O,
    kept: &[FlexTensor],
    u: &FlexTensor,
    wanted: &[bool],
) -> Vec<Option<Bytes>> {
    let u = [in_one_piece::<T>(u)];
    let made = operation.gradients(&Workspace::current(), &slices::<T>(kept), slices::<T>(&u)[0], wanted);
    made.into_iter().map(|numbers| numbers.map(shared)).collect()
}

/// The tensor with its numbers side by side: itself where they are, such as those of one parameter among all weights.
fn in_one_piece<T: Real + Element>(tensor: &FlexTensor) -> FlexTensor {
    if tensor.as_slice::<T>().is_some() { tensor.clone() } else { tensor.to_contiguous() }
}

fn slices<T: Real + Element>(tensors: &[FlexTensor]) -> Vec<&[T]> {
    tensors.iter().map(|tensor| tensor.as_slice().expect("it is contiguous, and of this kind")).collect()
}

/// Numbers as the memory of a tensor; they go back to their workspace with it.
fn shared(numbers: Numbers) -> Bytes {
    Bytes::from_shared(bytes::Bytes::from_owner(numbers), AllocationProperty::Native)
}

/// A tensor of a backend.
type Float<B> = FloatTensor<B>;

/// Operations with kernels, as Burn sees them, by the number of their inputs.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Record: Backend {
    /// The output for one input.
    fn one(a: FloatTensor<Self>, operation: Arc<dyn Erased>) -> FloatTensor<Self>;
    /// The output for two inputs.
    fn two(a: FloatTensor<Self>, b: FloatTensor<Self>, operation: Arc<dyn Erased>) -> FloatTensor<Self>;
    /// The output for three inputs.
    fn three(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        operation: Arc<dyn Erased>,
    ) -> FloatTensor<Self>;
    /// The output for four inputs.
    fn four(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        operation: Arc<dyn Erased>,
    ) -> FloatTensor<Self>;
    /// The output for seven inputs.
    #[allow(clippy::too_many_arguments, reason = "tensors cross the border one by one")]
    fn seven(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
        g: FloatTensor<Self>,
        operation: Arc<dyn Erased>,
    ) -> FloatTensor<Self>;
}

/// All of them by one function of a list.
macro_rules! by_list {
    ($run:expr; $($name:ident($($input:ident)+)),+) => {
        $(
            #[allow(clippy::too_many_arguments, reason = "tensors cross the border one by one")]
            fn $name($($input: Float<Self>,)+ operation: Arc<dyn Erased>) -> Float<Self> {
                $run([$($input),+], &operation)
            }
        )+
    };
}

impl Record for Flex {
    by_list!(computed; one(a), two(a b), three(a b c), four(a b c d), seven(a b c d e f g));
}

impl<C: CheckpointStrategy> Record for Autodiff<Flex, C> {
    by_list!(record::<C, _>; one(a), two(a b), three(a b c), four(a b c d), seven(a b c d e f g));
}

#[allow(clippy::needless_pass_by_value, reason = "as a graph takes them")]
fn computed<const N: usize>(inputs: [FlexTensor; N], operation: &Arc<dyn Erased>) -> FlexTensor {
    operation.forward(&inputs, false).0
}

/// The output of an operation for tensors of any device that [`Record`] knows.
pub(super) fn run(inputs: Vec<DispatchTensor>, operation: Arc<dyn Erased>) -> DispatchTensor {
    let mut inputs = inputs.into_iter();
    let count = inputs.len();
    let mut next = || inputs.next().expect("they are counted");
    match count {
        1 => Dispatch::one(next(), operation),
        2 => Dispatch::two(next(), next(), operation),
        3 => Dispatch::three(next(), next(), next(), operation),
        4 => Dispatch::four(next(), next(), next(), next(), operation),
        7 => Dispatch::seven(next(), next(), next(), next(), next(), next(), next(), operation),
        other => unreachable!("no operation has {other} inputs"),
    }
}

/// The output, with the step back to its inputs in the graph.
fn record<C: CheckpointStrategy, const N: usize>(
    inputs: [FloatTensor<Autodiff<Flex>>; N],
    operation: &Arc<dyn Erased>,
) -> FloatTensor<Autodiff<Flex>> {
    let (inputs, guards): (Vec<_>, Vec<_>) = inputs.into_iter().map(FloatTensor::<Autodiff<Flex>>::into_parts).unzip();
    let Ok(guards) = <[_; N]>::try_from(guards) else { unreachable!("there are as many inputs") };
    match Step(Arc::clone(operation)).prepare::<C>(guards).compute_bound().stateful() {
        OpsKind::Tracked(step) => {
            let (output, kept) = operation.forward(&inputs, true);
            let shapes = inputs.iter().map(TensorMetadata::shape).collect();
            step.finish((kept, shapes), output)
        }
        OpsKind::UnTracked(step) => step.finish(operation.forward(&inputs, false).0),
    }
}

/// The way back through an operation.
#[derive(Debug)]
struct Step(Arc<dyn Erased>);

impl<const N: usize> Backward<Flex, N> for Step {
    type State = (Vec<FlexTensor>, Vec<Shape>);

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let u = gradients.consume::<Flex>(&ops.node);
        let (kept, shapes) = ops.state;
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let made = self.0.gradients(&kept, &u, &wanted);
        for ((parent, made), shape) in ops.parents.into_iter().zip(made).zip(shapes) {
            if let (Some(parent), Some(bytes)) = (parent, made) {
                let gradient = FlexTensor::new(bytes, Layout::contiguous(shape), u.dtype());
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}
