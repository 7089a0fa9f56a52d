//! Pipelines in the languages of Vulkan, Metal and DX12.

use naga::back::{hlsl, msl, spv};
use naga::{AddressSpace, GlobalVariable, ResourceBinding, ShaderStage, StorageAccess};

use super::{Checked, Launch, has_subgroups, used};

/// Words of SPIR-V; bindings keep their places.
pub fn to_spirv(checked: &Checked, launch: &Launch) -> Result<usize, String> {
    let place = |(at, ..): (ResourceBinding, _, _)| {
        (at, spv::BindingInfo { descriptor_set: at.group, binding: at.binding, binding_array_size: None })
    };
    let options = spv::Options {
        binding_map: used(checked, launch).map(place).collect(),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..Default::default()
    };
    let entry = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: launch.dispatch.entry.into() };
    let words = spv::write_vec(&checked.module, &checked.info, &options, Some(&entry));
    words.map(|w| w.len()).map_err(|e| e.to_string())
}

/// Bytes of Metal's language; buffers keep their places, and the runtime arrays' lengths come after them.
pub fn to_msl(checked: &Checked, launch: &Launch) -> Result<usize, String> {
    let place = |(at, v, _): (ResourceBinding, &GlobalVariable, _)| {
        let mutable = matches!(v.space, AddressSpace::Storage { access } if access.contains(StorageAccess::STORE));
        (at, msl::BindTarget { buffer: Some(at.binding as u8), mutable, ..Default::default() })
    };
    let resources = msl::EntryPointResources {
        resources: used(checked, launch).map(place).collect(),
        sizes_buffer: Some(launch.dispatch.bindings.len() as u8),
        ..Default::default()
    };
    let options = msl::Options {
        // macOS 10.15, the oldest that wgpu names.
        lang_version: (2, 2),
        per_entry_point_map: [(launch.dispatch.entry.to_string(), resources)].into(),
        fake_missing_bindings: false,
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    let entry_point = Some((ShaderStage::Compute, launch.dispatch.entry.to_string()));
    let pipeline = msl::PipelineOptions { entry_point, ..Default::default() };
    let written = msl::write_string(&checked.module, &checked.info, &options, &pipeline);
    let (text, info) = written.map_err(|e| e.to_string())?;
    info.entry_point_names[0].as_ref().map(|_| text.len()).map_err(ToString::to_string)
}

/// Bytes of HLSL; registers are numbered by binding, each kind of register in a row of its own.
pub fn to_hlsl(checked: &Checked, launch: &Launch) -> Result<usize, String> {
    let place = |(at, ..): (ResourceBinding, _, _)| {
        (at, hlsl::BindTarget { register: at.binding, restrict_indexing: true, ..Default::default() })
    };
    // The kernels' builtins: num_workgroups comes in a constant buffer that wgpu fills.
    let special = hlsl::BindTarget { space: 1, ..Default::default() };
    let options = hlsl::Options {
        // Of FXC, which wgpu takes where DXC is not installed, and then offers no subgroups.
        shader_model: if has_subgroups(launch.dispatch.module.source) {
            hlsl::ShaderModel::V6_0
        } else {
            hlsl::ShaderModel::V5_1
        },
        binding_map: used(checked, launch).map(place).collect(),
        fake_missing_bindings: false,
        special_constants_binding: Some(special),
        zero_initialize_workgroup_memory: false,
        ..Default::default()
    };
    let entry_point = Some((ShaderStage::Compute, launch.dispatch.entry.to_string()));
    let (mut text, pipeline) = (String::new(), hlsl::PipelineOptions { entry_point });
    let mut writer = hlsl::Writer::new(&mut text, &options, &pipeline);
    let info = writer.write(&checked.module, &checked.info, None).map_err(|e| e.to_string())?;
    info.entry_point_names[0].as_ref().map_err(ToString::to_string)?;
    Ok(text.len())
}
