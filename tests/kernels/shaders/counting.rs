//! Loops that only count, whose rounds follow from their start, end and step.

use naga::{BinaryOperator, Block, Expression, Function, Handle, LocalVariable, Statement};

use super::loops::each;
use super::needed::{Needed, operands, root};

/// `for (var i = start; i < end; i += step)` with a body that neither leaves it nor loops itself, and in which nothing that
/// branches depend on is stored.
pub struct Counting {
    pub counter: Handle<LocalVariable>,
    pub end: Handle<Expression>,
    pub step: Handle<Expression>,
    /// What is computed of end and step.
    pub emitted: Vec<Handle<Expression>>,
}

impl Counting {
    /// A loop that is one. `others` is what the module's functions need.
    pub fn of(
        function: &Function,
        needed: &Needed,
        others: &[Needed],
        body: &Block,
        continuing: &Block,
    ) -> Option<Self> {
        let head = body.iter().position(|statement| !matches!(statement, Statement::Emit(_)))?;
        let Statement::If { condition, accept, reject } = &body[head] else { return None };
        let [Statement::Emit(_), Statement::Store { pointer, value }] = &continuing[..] else { return None };
        let (counter, end) = less(function, *condition)?;
        let Expression::Binary { op: BinaryOperator::Add, left, right: step } = function.expressions[*value] else {
            return None;
        };
        let leaves = accept.is_empty() && matches!(reject[..], [Statement::Break]);
        let moves = function.expressions[*pointer] == Expression::LocalVariable(counter);
        let by_step = moves && loaded(function, left) == Some(counter);
        let is_fixed = [end, step].into_iter().all(|of| !reads(function, of, counter));
        let mut rest = body.iter().skip(head + 1);
        let plain = leaves && by_step && is_fixed && rest.all(|of| is_plain(function, needed, others, of));
        let emitted = body.iter().take(head).chain(&continuing[..1]).filter_map(|statement| match statement {
            Statement::Emit(range) => Some(range.clone()),
            _ => None,
        });
        plain.then(|| Self { counter, end, step, emitted: emitted.flatten().collect() })
    }
}

/// The variable of `variable < end`, and the end.
fn less(function: &Function, condition: Handle<Expression>) -> Option<(Handle<LocalVariable>, Handle<Expression>)> {
    match function.expressions[condition] {
        Expression::Binary { op: BinaryOperator::Less, left, right } => Some((loaded(function, left)?, right)),
        _ => None,
    }
}

/// The variable whose value an expression is.
fn loaded(function: &Function, of: Handle<Expression>) -> Option<Handle<LocalVariable>> {
    let Expression::Load { pointer } = function.expressions[of] else { return None };
    match function.expressions[pointer] {
        Expression::LocalVariable(local) => Some(local),
        _ => None,
    }
}

/// Whether an expression is computed from a variable.
fn reads(function: &Function, of: Handle<Expression>, local: Handle<LocalVariable>) -> bool {
    match &function.expressions[of] {
        Expression::LocalVariable(other) => *other == local,
        expression => operands(expression).into_iter().any(|of| reads(function, of, local)),
    }
}

/// Whether a statement of a loop's body has no loop and no way out of the body, and stores nothing that branches depend on.
fn is_plain(function: &Function, needed: &Needed, others: &[Needed], statement: &Statement) -> bool {
    let mut plain = true;
    each(statement, &mut |statement| {
        plain &= match statement {
            Statement::Loop { .. } | Statement::Break | Statement::Return { .. } | Statement::Kill => false,
            Statement::Store { pointer, .. } => match root(function, *pointer) {
                Expression::LocalVariable(to) => !needed.locals[to.index()],
                _ => true,
            },
            Statement::Call { function, .. } => !others[function.index()].loops,
            _ => true,
        }
    });
    plain
}
