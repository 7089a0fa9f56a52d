//! How often an invocation goes round its loops, and how much it reads and writes: its WGSL is interpreted with the launch's
//! own parameters. Whole numbers are followed; floats, and what is read from buffers, are unknown. Where a branch hangs on
//! something unknown both sides are taken: of rounds the longer one counts, of bytes both do. What no branch depends on is not
//! computed: of a product's loop that leaves the counters.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use kiln::ops::{Binding, Dispatch, Io};
use naga::{
    AddressSpace, Block, BuiltIn, Expression, Function, Handle, Literal, Module, ScalarKind, Statement, TypeInner,
};

use super::counting::Counting;
use super::needed::{Kernel, Needed, root};
use super::values::Value::{self, Unknown};
use super::values::{binary, converted, math, unary};

/// Mesa's llvmpipe ends an invocation's loops after so many rounds.
pub const CUT_OFF: u32 = 65_535;

/// Where control goes behind a statement.
enum Flow {
    Next,
    Break,
    Continue,
    Return(Value),
}

/// A launch, one of whose invocations is followed.
struct Invocation<'a> {
    module: &'a Module,
    kernel: &'a Kernel<'a>,
    dispatch: &'a Dispatch,
    io: &'a Io,
    workgroup: [u32; 3],
    local: [u32; 3],
    size: [u32; 3],
    rounds: u32,
    /// Bytes of storage that were read or written, where they are counted.
    moved: Option<u64>,
    /// The launch's parameters, once they were read.
    params: OnceCell<Value>,
}

/// A function as it is run.
struct Frame<'a> {
    function: &'a Function,
    needed: &'a Needed,
    arguments: Vec<Value>,
    locals: Vec<Value>,
    values: Vec<Option<Value>>,
}

/// The most rounds, in all loops together, of the first and the last invocation of the first and the last workgroup;
/// [`CUT_OFF`] where it is that or more.
pub fn most(module: &Module, entry: usize, dispatch: &Dispatch, io: &Io) -> u32 {
    let kernel = Kernel::of(module, entry);
    let size = kernel.entry.workgroup_size;
    let corners = |n: [u32; 3]| BTreeSet::from([[0; 3], n.map(|n| n - 1)]);
    let mut most = 0;
    for workgroup in corners(dispatch.workgroups) {
        for local in corners(size) {
            most = most.max(Invocation::run(module, &kernel, dispatch, io, [workgroup, local], None).rounds);
        }
    }
    most
}

/// Bytes of storage that the first invocation reads and writes.
pub fn moved(module: &Module, entry: usize, dispatch: &Dispatch, io: &Io) -> u64 {
    let kernel = Kernel::of(module, entry);
    let first = Invocation::run(module, &kernel, dispatch, io, [[0; 3]; 2], Some(0));
    first.moved.expect("counted")
}

impl<'a> Invocation<'a> {
    fn run(
        module: &'a Module,
        kernel: &'a Kernel<'a>,
        dispatch: &'a Dispatch,
        io: &'a Io,
        [workgroup, local]: [[u32; 3]; 2],
        moved: Option<u64>,
    ) -> Self {
        let size = kernel.entry.workgroup_size;
        let mut invocation =
            Self { module, kernel, dispatch, io, workgroup, local, size, rounds: 0, moved, params: OnceCell::new() };
        invocation.enter();
        invocation
    }

    fn enter(&mut self) {
        let function = &self.kernel.entry.function;
        let arguments = function.arguments.iter();
        let arguments = arguments.map(|argument| match argument.binding {
            Some(naga::Binding::BuiltIn(builtin)) => self.builtin(builtin),
            _ => Unknown,
        });
        let arguments = arguments.collect();
        self.call(function, &self.kernel.needed, arguments);
    }

    fn builtin(&self, builtin: BuiltIn) -> Value {
        let vector = |x: [u32; 3]| Value::Parts(Rc::new(x.map(Value::U32).to_vec()));
        let ([x, y, z], [width, height, _]) = (self.local, self.size);
        match builtin {
            BuiltIn::GlobalInvocationId => vector([0, 1, 2].map(|i| self.workgroup[i] * self.size[i] + self.local[i])),
            BuiltIn::LocalInvocationId => vector(self.local),
            BuiltIn::LocalInvocationIndex => Value::U32(x + width * (y + height * z)),
            BuiltIn::WorkGroupId => vector(self.workgroup),
            BuiltIn::NumWorkGroups => vector(self.dispatch.workgroups),
            _ => Unknown,
        }
    }

    fn call(&mut self, function: &'a Function, needed: &'a Needed, arguments: Vec<Value>) -> Value {
        let expressions = vec![None; function.expressions.len()];
        let mut frame = Frame { function, needed, arguments, locals: Vec::new(), values: expressions };
        for (_, local) in function.local_variables.iter() {
            let value = local.init.map_or_else(|| self.zero(local.ty), |init| self.value(&frame, init));
            frame.locals.push(value);
        }
        match self.block(&mut frame, &function.body) {
            Flow::Return(value) => value,
            _ => Unknown,
        }
    }

    fn block(&mut self, frame: &mut Frame<'a>, block: &'a Block) -> Flow {
        for statement in block {
            let flow = self.statement(frame, statement);
            if !matches!(flow, Flow::Next) || self.rounds >= CUT_OFF {
                return flow;
            }
        }
        Flow::Next
    }

    fn statement(&mut self, frame: &mut Frame<'a>, statement: &'a Statement) -> Flow {
        match statement {
            Statement::Emit(range) => range.clone().for_each(|of| self.emit(frame, of)),
            Statement::Block(block) => return self.block(frame, block),
            Statement::If { condition, accept, reject } => match self.value(frame, *condition) {
                Value::Bool(true) => return self.block(frame, accept),
                Value::Bool(false) => return self.block(frame, reject),
                _ => return self.either(frame, &[accept, reject]),
            },
            Statement::Switch { selector, cases } => {
                let wanted = match self.value(frame, *selector) {
                    Value::U32(x) => Some(naga::SwitchValue::U32(x)),
                    Value::I32(x) => Some(naga::SwitchValue::I32(x)),
                    _ => None,
                };
                let Some(wanted) = wanted else {
                    return self.either(frame, &cases.iter().map(|case| &case.body).collect::<Vec<_>>());
                };
                let default = cases.iter().position(|case| case.value == naga::SwitchValue::Default);
                let first = cases.iter().position(|case| case.value == wanted).or(default).expect("a default");
                for case in &cases[first..] {
                    match self.block(frame, &case.body) {
                        Flow::Next if case.fall_through => {}
                        Flow::Next | Flow::Break => break,
                        other => return other,
                    }
                }
            }
            Statement::Loop { body, continuing, break_if } => {
                return self.rounds_of(frame, body, continuing, *break_if);
            }
            Statement::Break => return Flow::Break,
            Statement::Continue => return Flow::Continue,
            Statement::Return { value } => {
                return Flow::Return(value.map_or(Unknown, |value| self.value(frame, value)));
            }
            Statement::Store { pointer, value } => {
                self.count(frame, *pointer);
                if let Expression::LocalVariable(local) = root(frame.function, *pointer)
                    && frame.needed.locals[local.index()]
                {
                    let value = self.value(frame, *value);
                    let path = self.path(frame, *pointer).1;
                    frame.locals[local.index()] = frame.locals[local.index()].with(&path, value);
                }
            }
            Statement::Call { function, arguments, result } => {
                let needed = &self.kernel.others[function.index()];
                let wanted = result.is_some_and(|result| frame.needed.values[result.index()]);
                if !wanted && !needed.loops && self.moved.is_none() {
                    return Flow::Next;
                }
                let given = |(&of, &needed): (_, &bool)| if needed { self.value(frame, of) } else { Unknown };
                let arguments = arguments.iter().zip(&needed.arguments).map(given).collect();
                let value = self.call(&self.module.functions[*function], needed, arguments);
                if let Some(result) = result {
                    frame.values[result.index()] = Some(value);
                }
            }
            _ => {}
        }
        Flow::Next
    }

    fn emit(&mut self, frame: &mut Frame<'a>, of: Handle<Expression>) {
        if let Expression::Load { pointer } = frame.function.expressions[of] {
            self.count(frame, pointer);
        }
        if frame.needed.values[of.index()] {
            frame.values[of.index()] = None;
            frame.values[of.index()] = Some(self.value(frame, of));
        }
    }

    fn rounds_of(
        &mut self,
        frame: &mut Frame<'a>,
        body: &'a Block,
        continuing: &'a Block,
        break_if: Option<Handle<Expression>>,
    ) -> Flow {
        if self.moved.is_none() && break_if.is_none() && self.counted(frame, body, continuing).is_some() {
            return Flow::Next;
        }
        while self.rounds < CUT_OFF {
            match self.block(frame, body) {
                Flow::Break => return Flow::Next,
                Flow::Return(value) => return Flow::Return(value),
                Flow::Next | Flow::Continue => {}
            }
            self.rounds += 1;
            self.block(frame, continuing);
            if break_if.is_some_and(|end| self.value(frame, end) == Value::Bool(true)) {
                break;
            }
        }
        Flow::Next
    }

    /// Goes round a loop at once, where it only counts: what branches depend on is its counter alone, and that moves by as much
    /// in each round. `None` where there is more to it; then nothing has changed.
    fn counted(&mut self, frame: &mut Frame<'a>, body: &'a Block, continuing: &'a Block) -> Option<()> {
        let counting = Counting::of(frame.function, frame.needed, &self.kernel.others, body, continuing)?;
        for of in counting.emitted {
            self.emit(frame, of);
        }
        let whole = |value: Value| if let Value::U32(x) = value { Some(x) } else { None };
        let counter = counting.counter.index();
        let start = whole(frame.locals[counter].clone())?;
        let (end, step) = (whole(self.value(frame, counting.end))?, whole(self.value(frame, counting.step))?);
        let rounds = end.saturating_sub(start).checked_next_multiple_of(step)? / step;
        frame.locals[counter] = Value::U32(start.checked_add(rounds * step)?);
        self.rounds = self.rounds.saturating_add(rounds).min(CUT_OFF);
        Some(())
    }

    /// All of several blocks from one state: the longest, and what holds whichever it was. One that goes on behind them is
    /// taken where there is one.
    fn either(&mut self, frame: &mut Frame<'a>, blocks: &[&'a Block]) -> Flow {
        let (before, rounds) = (frame.locals.clone(), self.rounds);
        let (mut after, mut longest, mut flow): (Option<Vec<Value>>, u32, Option<Flow>) = (None, rounds, None);
        for block in blocks {
            (frame.locals, self.rounds) = (before.clone(), rounds);
            let this = self.block(frame, block);
            longest = longest.max(self.rounds);
            let locals = std::mem::take(&mut frame.locals);
            after = Some(match after {
                None => locals,
                Some(other) => other.iter().zip(&locals).map(|(a, b)| a.or(b)).collect(),
            });
            flow = Some(match (flow, this) {
                (None, this) => this,
                (Some(Flow::Return(a)), Flow::Return(b)) => Flow::Return(a.or(&b)),
                (Some(Flow::Break), Flow::Break) => Flow::Break,
                (Some(Flow::Continue), Flow::Continue) => Flow::Continue,
                _ => Flow::Next,
            });
        }
        (frame.locals, self.rounds) = (after.unwrap_or(before), longest);
        flow.unwrap_or(Flow::Next)
    }

    /// Counts what a pointer into storage leads to: scalars and vectors alone are read and written there.
    fn count(&mut self, frame: &Frame<'a>, pointer: Handle<Expression>) {
        let Some(moved) = &mut self.moved else { return };
        let Expression::GlobalVariable(global) = root(frame.function, pointer) else { return };
        let variable = &self.module.global_variables[*global];
        if let AddressSpace::Storage { .. } = variable.space {
            let TypeInner::Array { base, .. } = self.module.types[variable.ty].inner else { return };
            *moved += u64::from(self.module.types[base].inner.size(self.module.to_ctx()));
        }
    }

    /// The variable that a pointer leads into, and how.
    fn path(&self, frame: &Frame<'a>, pointer: Handle<Expression>) -> (&'a Expression, Vec<Option<usize>>) {
        let (base, index) = match &frame.function.expressions[pointer] {
            Expression::Access { base, index } => (*base, self.value(frame, *index).index()),
            Expression::AccessIndex { base, index } => (*base, Some(*index as usize)),
            root => return (root, Vec::new()),
        };
        let (root, mut path) = self.path(frame, base);
        path.push(index);
        (root, path)
    }

    fn load(&self, frame: &Frame<'a>, pointer: Handle<Expression>) -> Value {
        let all = match root(frame.function, pointer) {
            Expression::LocalVariable(local) => &frame.locals[local.index()],
            Expression::GlobalVariable(global) => {
                let variable = &self.module.global_variables[*global];
                if variable.space != AddressSpace::Uniform {
                    return Unknown;
                }
                self.params.get_or_init(|| {
                    let words: Vec<u32> = self.dispatch.params.fields().iter().map(|&(_, word)| word).collect();
                    self.uniform(variable.ty, &words)
                })
            }
            _ => return Unknown,
        };
        if let Expression::LocalVariable(_) | Expression::GlobalVariable(_) = frame.function.expressions[pointer] {
            return all.clone();
        }
        let (_, path) = self.path(frame, pointer);
        path.iter().fold(all.clone(), |value, index| index.map_or(Unknown, |i| value.part(i)))
    }

    /// A uniform's words as its type has them.
    fn uniform(&self, ty: Handle<naga::Type>, words: &[u32]) -> Value {
        let several = |all: Vec<Value>| Value::Parts(Rc::new(all));
        let word = |kind, i: usize| match (kind, words.get(i)) {
            (ScalarKind::Uint, Some(&word)) => Value::U32(word),
            (ScalarKind::Sint, Some(&word)) => Value::I32(word as i32),
            _ => Unknown,
        };
        match &self.module.types[ty].inner {
            TypeInner::Scalar(scalar) => word(scalar.kind, 0),
            TypeInner::Vector { size, scalar } => several((0..*size as usize).map(|i| word(scalar.kind, i)).collect()),
            TypeInner::Array { base, size: naga::ArraySize::Constant(n), stride } => {
                let stride = *stride as usize / 4;
                let at = |i: usize| self.uniform(*base, words.get(i * stride..).unwrap_or(&[]));
                several((0..n.get() as usize).map(at).collect())
            }
            TypeInner::Struct { members, .. } => {
                let at = |m: &naga::StructMember| self.uniform(m.ty, words.get(m.offset as usize / 4..).unwrap_or(&[]));
                several(members.iter().map(at).collect())
            }
            _ => Unknown,
        }
    }

    fn zero(&self, ty: Handle<naga::Type>) -> Value {
        let several = |value: Value, n: usize| Value::Parts(Rc::new(vec![value; n]));
        let number = |kind| match kind {
            ScalarKind::Uint => Value::U32(0),
            ScalarKind::Sint => Value::I32(0),
            ScalarKind::Bool => Value::Bool(false),
            _ => Unknown,
        };
        match &self.module.types[ty].inner {
            TypeInner::Scalar(scalar) => number(scalar.kind),
            TypeInner::Vector { size, scalar } => several(number(scalar.kind), *size as usize),
            TypeInner::Array { base, size: naga::ArraySize::Constant(n), .. } => {
                several(self.zero(*base), n.get() as usize)
            }
            TypeInner::Struct { members, .. } => {
                Value::Parts(Rc::new(members.iter().map(|m| self.zero(m.ty)).collect()))
            }
            _ => Unknown,
        }
    }

    fn value(&self, frame: &Frame<'a>, of: Handle<Expression>) -> Value {
        if let Some(value) = &frame.values[of.index()] {
            return value.clone();
        }
        let value = |of: Handle<Expression>| self.value(frame, of);
        match &frame.function.expressions[of] {
            Expression::FunctionArgument(i) => frame.arguments[*i as usize].clone(),
            Expression::Load { pointer } => self.load(frame, *pointer),
            Expression::ArrayLength(pointer) => self.array_length(frame, *pointer),
            expression => self.plain(expression, &value),
        }
    }

    /// An expression that hangs on others alone.
    fn plain(&self, expression: &Expression, value: &dyn Fn(Handle<Expression>) -> Value) -> Value {
        match expression {
            Expression::Literal(literal) => match *literal {
                Literal::U32(x) => Value::U32(x),
                Literal::I32(x) => Value::I32(x),
                Literal::Bool(x) => Value::Bool(x),
                _ => Unknown,
            },
            Expression::Constant(constant) => self.global(self.module.constants[*constant].init),
            Expression::ZeroValue(ty) => self.zero(*ty),
            Expression::Compose { ty, components } => {
                // A vector may be made of vectors.
                let flat = matches!(self.module.types[*ty].inner, TypeInner::Vector { .. });
                let parts = components.iter().flat_map(|&component| match value(component) {
                    Value::Parts(parts) if flat => parts.to_vec(),
                    whole => vec![whole],
                });
                Value::Parts(Rc::new(parts.collect()))
            }
            Expression::Splat { size, value: of } => Value::Parts(Rc::new(vec![value(*of); *size as usize])),
            Expression::Swizzle { size, vector, pattern } => {
                let vector = value(*vector);
                let parts = pattern[..*size as usize].iter().map(|&i| vector.part(i as usize)).collect();
                Value::Parts(Rc::new(parts))
            }
            Expression::Access { base, index } => {
                value(*index).index().map_or(Unknown, |index| value(*base).part(index))
            }
            Expression::AccessIndex { base, index } => value(*base).part(*index as usize),
            Expression::Select { condition, accept, reject } => match value(*condition) {
                Value::Bool(true) => value(*accept),
                Value::Bool(false) => value(*reject),
                _ => value(*accept).or(&value(*reject)),
            },
            Expression::Unary { op, expr } => value(*expr).each(&|x| unary(*op, x)),
            Expression::Binary { op, left, right } => value(*left).both(&value(*right), &|a, b| binary(*op, a, b)),
            Expression::Math { fun, arg, arg1, arg2, .. } => {
                let arguments = [Some(*arg), *arg1, *arg2].into_iter().flatten().map(value).collect::<Vec<_>>();
                math(*fun, &arguments)
            }
            Expression::As { expr, kind, .. } => value(*expr).each(&|x| converted(x, *kind)),
            _ => Unknown,
        }
    }

    fn global(&self, of: Handle<Expression>) -> Value {
        self.plain(&self.module.global_expressions[of], &|of| self.global(of))
    }

    fn array_length(&self, frame: &Frame<'a>, pointer: Handle<Expression>) -> Value {
        let Expression::GlobalVariable(global) = self.path(frame, pointer).0 else { return Unknown };
        let binding = self.module.global_variables[*global].binding.expect("a buffer").binding as usize;
        let len = match self.dispatch.bindings[binding] {
            Binding::Input(i) => self.io.inputs[i].shape.len(),
            Binding::Output(i) => self.io.outputs[i].shape.len(),
            Binding::Scratch(len) | Binding::SecondScratch(len) => len,
            Binding::Params => return Unknown,
        };
        Value::U32(len as u32)
    }
}
