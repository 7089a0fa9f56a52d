//! Kernels chosen by measurement: that they are launched, right and the same text; that no other device takes them.

use kiln::device::Device;
#[cfg(feature = "gpu")]
use kiln::{
    check::{check_case, outputs},
    device::Executor,
    graph::Type,
    ops::{
        AdapterKind, Case, Epilogue, Target, Tuning,
        conv::{Conv, case_of_types},
        convolution::Pass,
        matmul::{Problem, case_of_problem},
        window::Window,
    },
};

#[cfg(feature = "gpu")]
fn case(problem: &str) -> (Problem, Case) {
    let problem = problem.parse().unwrap();
    (problem, case_of_problem(problem, Epilogue::None, 77))
}

/// The kernel that a device launches for a case, with the settings of its own.
#[cfg(feature = "gpu")]
fn launched(case: &Case, device: &Device) -> String {
    let [launch] = &case.op.gpu(&case.io().unwrap(), &device.target())[..] else { panic!("one launch was expected") };
    let own = launch
        .constants
        .iter()
        .filter(|(name, _)| !["TRANS_A", "TRANS_B", "STACKED", "BIAS", "SCALE_SHIFT"].contains(name));
    own.fold(launch.entry.to_string(), |text, (name, value)| match *name {
        // Which of them lie side by side is a parameter.
        "LANES" => {
            let (_, across) = launch.params.fields().iter().find(|(name, _)| *name == "across").unwrap();
            format!("{text} WG_X={} WG_Y={}", 1 << across, *value as u32 >> across)
        }
        _ => format!("{text} {name}={value}"),
    })
}

#[cfg(feature = "gpu")]
#[test]
fn a_chosen_kernel_is_launched_and_right_for_ragged_extents() {
    let adapter = crate::common::adapter();
    let mut reference = Executor::new(&Device::reference()).unwrap();
    for (problem, step) in [("7x5x3:tn", 1), ("97x10x13:nn", 5), ("36x20x17:tn", 4), ("2x9x31x33:tt", 6)] {
        let (problem, case) = case(problem);
        for kernel in problem.candidates(&adapter.target()).iter().step_by(step) {
            let device = adapter.clone().with_tuning(&format!("matmul {problem}\t{kernel}")).unwrap();
            assert_eq!(launched(&case, &device), kernel.to_string(), "{problem}");
            let mut tested = Executor::new(&device).unwrap();
            let finding = check_case(&case, &mut tested, &mut reference).unwrap();
            assert!(finding.result.is_ok(), "{problem} by {kernel}: {finding:?}");
        }
        let other = case_of_problem(Problem { extents: [8, 5, 3], ..problem }, Epilogue::None, 0);
        let kernel = problem.candidates(&adapter.target()).pop().unwrap();
        let tuned = adapter.clone().with_tuning(&format!("matmul {problem}\t{kernel}")).unwrap();
        assert_eq!(launched(&other, &tuned), launched(&other, &adapter), "another product's kernel stays");
    }
}

/// Each pass of a convolution of all channels and of each by itself, with strides too, where dx is several products.
#[cfg(feature = "gpu")]
#[test]
fn any_candidate_for_a_convolution_is_right() {
    let adapter = crate::common::adapter();
    let mut reference = Executor::new(&Device::reference()).unwrap();
    for (channels, filters, groups, strides, step) in
        [(4, 8, 1, [1, 1], 17), (3, 5, 1, [2, 1], 19), (8, 8, 8, [1, 1], 1), (3, 6, 3, [2, 1], 1), (5, 5, 5, [1, 1], 1)]
    {
        let window = Window { strides, ..Window::new([3, 2]) };
        let forward = Conv::new(window, groups);
        let [rows, columns] = window.output("conv", [21, 12]).unwrap();
        let (x, w) = (Type::float([2, 21, 12, channels]), Type::float([3, 2, channels / groups, filters]));
        let y = Type::float([2, rows, columns, filters]);
        for (op, operands) in [
            (forward, [&x, &w]),
            (Conv::transposed(window, groups, [21, 12]), [&y, &w]),
            (Conv { pass: Pass::Kernel, ..forward }, [&x, &y]),
        ] {
            let operands = operands.map(Type::clone);
            let case = case_of_types(op, &operands, 78).unwrap();
            let problem = op.problems(&operands).unwrap()[0];
            for kernel in problem.candidates(&adapter.target()).iter().step_by(step) {
                let device = adapter.clone().with_tuning(&format!("{problem}\t{kernel}")).unwrap();
                let launches = case.op.gpu(&case.io().unwrap(), &device.target());
                assert!(
                    launches.iter().any(|launch| kernel.to_string().starts_with(launch.entry)),
                    "{problem}: {kernel}"
                );
                let finding = check_case(&case, &mut Executor::new(&device).unwrap(), &mut reference).unwrap();
                assert!(finding.result.is_ok(), "{problem} by {kernel}: {finding:?}");
            }
        }
    }
}

/// More of K than lavapipe lets an invocation loop over, in one launch after the other and in parts.
#[cfg(feature = "gpu")]
#[test]
fn any_candidate_for_a_long_product_is_right() {
    let adapter = crate::common::adapter();
    let mut reference = Executor::new(&Device::reference()).unwrap();
    for (problem, step) in [("5x7x70000:tn", 13), ("8x4x70004:nn", 14), ("2x4x4x70000:nt", 11)] {
        let (problem, case) = case(problem);
        for kernel in problem.candidates(&adapter.target()).iter().step_by(step) {
            let device = adapter.clone().with_tuning(&format!("matmul {problem}\t{kernel}")).unwrap();
            let finding = check_case(&case, &mut Executor::new(&device).unwrap(), &mut reference).unwrap();
            assert!(finding.result.is_ok(), "{problem} by {kernel}: {finding:?}");
        }
    }
}

/// Blocks of four terms and single ones are added in another order, so that the last bits tell what ran.
#[cfg(feature = "gpu")]
#[test]
fn the_executor_runs_the_chosen_kernel() {
    let adapter = crate::common::adapter();
    let (problem, case) = case("64x64x256:nn");
    let bits = |kernel: &str| {
        let device = adapter.clone().with_tuning(&format!("matmul {problem}\t{kernel}")).unwrap();
        outputs(&case, &mut Executor::new(&device).unwrap()).unwrap()
    };
    let scale = if adapter.target().kind == AdapterKind::Hardware { 8 } else { 1 };
    let direct = format!("direct_vec4 WG_X={} WG_Y=2", 4 * scale);
    let tiled = "tiled_4x4_vec4 BM=32 BN=32 BK=16";
    assert_eq!(bits(tiled), bits(tiled), "a chosen kernel repeats itself to the bit");
    assert_ne!(bits(tiled), bits(&direct));
}

#[cfg(feature = "gpu")]
#[test]
fn a_devices_choices_can_be_read_kept_as_text_and_given_back() {
    let adapter = crate::common::adapter();
    assert!(adapter.tuning().is_empty(), "tests run with the built-in choice");
    let text = "matmul 7x5x3:tn\ttiled_4x4_guarded BM=32 BN=32 BK=16\nmatmul 97x10x13:nn\ttiled_4x4_guarded BM=128 BN=16 BK=8\n";
    let device = adapter.clone().with_tuning(text).unwrap();
    assert_eq!((device.tuning().len(), device.tuning().to_string().as_str()), (2, text));
    let again = adapter.with_tuning(&device.tuning().to_string()).unwrap();
    assert_eq!(again.target(), device.target());
    let kernels = device.tuning().iter().map(|(p, k)| format!("matmul {p}\t{k}\n")).collect::<String>();
    assert_eq!(kernels, text);
    assert!(again.clone().with_tuning("").unwrap().tuning().is_empty());
    let none = device.with_kernels_for(Target::new(AdapterKind::Hardware));
    assert_eq!(*none.tuning(), Tuning::default(), "the kernels of another kind of adapter are the built-in ones");
    let error = again.with_tuning("matmul 7x5x3:tn\tdirect_vec4 WG_X=8 WG_Y=1").unwrap_err().to_string();
    assert!(error.contains("tuning: line 1") && error.contains("is unknown"), "{error}");
}

#[test]
fn the_processor_has_no_kernels_to_choose_from() {
    for device in [Device::cpu(), Device::reference()] {
        let text = "matmul 7x5x3:tn\ttiled_4x4_guarded BM=32 BN=32 BK=16\n";
        assert!(device.clone().with_tuning(text).unwrap().tuning().is_empty());
        for refused in [device.forget_tuning().map(|_| ()), device.keep_tuning(&device.tuning()).map(|_| ())] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("no kernels to choose from") && error.contains("kiln devices"), "{error}");
        }
    }
}
