//! What the branches of a kernel depend on: the rest need not be computed to follow an invocation round its loops.

use naga::{EntryPoint, Expression, Function, Handle, Module, Statement};

use super::loops::walk;

/// What the branches of a function depend on, and those of the functions that it calls.
pub struct Needed {
    pub values: Vec<bool>,
    pub locals: Vec<bool>,
    pub arguments: Vec<bool>,
    /// Whether there is a loop in it, or in what it calls.
    pub loops: bool,
}

impl Needed {
    /// `returns` says whether what the function returns is needed, `others` is what its callees need.
    fn of(function: &Function, returns: bool, others: &[Self]) -> Self {
        let mut needed = Self {
            values: vec![false; function.expressions.len()],
            locals: vec![false; function.local_variables.len()],
            arguments: vec![false; function.arguments.len()],
            loops: false,
        };
        let (mut stores, mut open) = (Vec::new(), Vec::new());
        walk(&function.body, &mut |statement| match statement {
            Statement::If { condition: of, .. } | Statement::Switch { selector: of, .. } => open.push(*of),
            Statement::Return { value: Some(of) } if returns => open.push(*of),
            Statement::Store { pointer, value } => stores.push((*pointer, *value)),
            Statement::Loop { break_if, .. } => {
                needed.loops = true;
                open.extend(*break_if);
            }
            Statement::Call { function: callee, arguments, .. } => {
                let callee = &others[callee.index()];
                needed.loops |= callee.loops;
                open.extend(arguments.iter().zip(&callee.arguments).filter(|(_, needed)| **needed).map(|(of, _)| *of));
            }
            _ => {}
        });
        while let Some(next) = open.pop() {
            if std::mem::replace(&mut needed.values[next.index()], true) {
                continue;
            }
            match function.expressions[next] {
                Expression::FunctionArgument(i) => needed.arguments[i as usize] = true,
                Expression::LocalVariable(local) => {
                    needed.locals[local.index()] = true;
                    let into =
                        |pointer| matches!(root(function, pointer), Expression::LocalVariable(to) if *to == local);
                    let into = stores.iter().filter(|(pointer, _)| into(*pointer));
                    open.extend(into.flat_map(|&(pointer, value)| [pointer, value]));
                }
                _ => open.extend(operands(&function.expressions[next])),
            }
        }
        needed
    }
}

/// What an expression is computed from, as far as the interpreter follows it.
pub fn operands(expression: &Expression) -> Vec<Handle<Expression>> {
    match expression {
        Expression::Load { pointer: of } | Expression::ArrayLength(of) => vec![*of],
        Expression::Splat { value: of, .. } | Expression::Swizzle { vector: of, .. } => vec![*of],
        Expression::Unary { expr: of, .. } | Expression::As { expr: of, .. } => vec![*of],
        Expression::AccessIndex { base, .. } => vec![*base],
        Expression::Access { base: a, index: b } | Expression::Binary { left: a, right: b, .. } => vec![*a, *b],
        Expression::Compose { components, .. } => components.clone(),
        Expression::Select { condition, accept, reject } => vec![*condition, *accept, *reject],
        Expression::Math { arg, arg1, arg2, .. } => [Some(*arg), *arg1, *arg2].into_iter().flatten().collect(),
        _ => Vec::new(),
    }
}

/// A launch's kernel, with what its branches depend on.
pub struct Kernel<'a> {
    pub entry: &'a EntryPoint,
    pub needed: Needed,
    /// By function of the module.
    pub others: Vec<Needed>,
}

impl<'a> Kernel<'a> {
    pub fn of(module: &'a Module, entry: usize) -> Self {
        let entry = &module.entry_points[entry];
        let mut returns = vec![false; module.functions.len()];
        loop {
            // A module has functions behind those that they call.
            let mut others = Vec::new();
            for (handle, function) in module.functions.iter() {
                others.push(Needed::of(function, returns[handle.index()], &others));
            }
            let needed = Needed::of(&entry.function, false, &others);
            let before = returns.clone();
            let functions = module.functions.iter().map(|(_, function)| function).zip(&others);
            for (function, needed) in functions.chain([(&entry.function, &needed)]) {
                walk(&function.body, &mut |statement| {
                    if let Statement::Call { function: callee, result: Some(result), .. } = statement {
                        returns[callee.index()] |= needed.values[result.index()];
                    }
                });
            }
            if returns == before {
                return Self { entry, needed, others };
            }
        }
    }
}

/// The variable that a pointer leads into.
pub fn root(function: &Function, mut pointer: Handle<Expression>) -> &Expression {
    loop {
        match &function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = *base,
            root => return root,
        }
    }
}
