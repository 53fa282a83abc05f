/** The field table of ONNX's protobuf messages, from which reader, writer and types (types.ts) follow, and two of its enums. */

/** Protobuf's scalar types, as far as onnx.proto uses them; its enums travel as int32. */
export type Scalar = "string" | "bytes" | "int64" | "uint64" | "int32" | "float" | "double";

/** The scalars of which a list may be packed: one length, then the values without tags. */
export type Packable = Exclude<Scalar, "string" | "bytes">;

/** Every message of onnx.proto; nested ones with their outer name, as errors print them. */
export type MessageName =
  | "ModelProto"
  | "OperatorSetIdProto"
  | "StringStringEntryProto"
  | "TrainingInfoProto"
  | "FunctionProto"
  | "DeviceConfigurationProto"
  | "GraphProto"
  | "NodeProto"
  | "NodeDeviceConfigurationProto"
  | "ShardingSpecProto"
  | "IntIntListEntryProto"
  | "ShardedDimProto"
  | "SimpleShardedDimProto"
  | "AttributeProto"
  | "TensorProto"
  | "TensorProto.Segment"
  | "SparseTensorProto"
  | "TensorAnnotation"
  | "ValueInfoProto"
  | "TypeProto"
  | "TypeProto.Tensor"
  | "TypeProto.Sequence"
  | "TypeProto.Map"
  | "TypeProto.Optional"
  | "TypeProto.SparseTensor"
  | "TypeProto.Opaque"
  | "TensorShapeProto"
  | "TensorShapeProto.Dimension";

/** A field of that type; `[]`: a list of it; `[packed]`: a list that is written packed. */
type FieldType = Scalar | MessageName | `${Scalar | MessageName}[]` | `${Packable}[packed]`;

/** Field number, type, and the oneof it belongs to: of a oneof's members at most one is set. */
type Entry = readonly [number: number, type: FieldType, oneof?: string];

/**
 * Facts from onnx.proto as of ONNX 1.23 (IR version 14). `[]` is a repeated field; `[packed]` one that is written packed.
 * Adding a field is adding a line here: reader, writer and types follow.
 */
export const messages = {
  ModelProto: {
    irVersion: [1, "int64"],
    producerName: [2, "string"],
    producerVersion: [3, "string"],
    domain: [4, "string"],
    modelVersion: [5, "int64"],
    docString: [6, "string"],
    graph: [7, "GraphProto"],
    opsetImport: [8, "OperatorSetIdProto[]"],
    metadataProps: [14, "StringStringEntryProto[]"],
    trainingInfo: [20, "TrainingInfoProto[]"],
    functions: [25, "FunctionProto[]"],
    configuration: [26, "DeviceConfigurationProto[]"],
  },
  OperatorSetIdProto: { domain: [1, "string"], version: [2, "int64"] },
  StringStringEntryProto: { key: [1, "string"], value: [2, "string"] },
  TrainingInfoProto: {
    initialization: [1, "GraphProto"],
    algorithm: [2, "GraphProto"],
    initializationBinding: [3, "StringStringEntryProto[]"],
    updateBinding: [4, "StringStringEntryProto[]"],
  },
  FunctionProto: {
    name: [1, "string"],
    input: [4, "string[]"],
    output: [5, "string[]"],
    attribute: [6, "string[]"],
    node: [7, "NodeProto[]"],
    docString: [8, "string"],
    opsetImport: [9, "OperatorSetIdProto[]"],
    domain: [10, "string"],
    attributeProto: [11, "AttributeProto[]"],
    valueInfo: [12, "ValueInfoProto[]"],
    overload: [13, "string"],
    metadataProps: [14, "StringStringEntryProto[]"],
  },
  DeviceConfigurationProto: { name: [1, "string"], numDevices: [2, "int32"], device: [3, "string[]"] },
  GraphProto: {
    node: [1, "NodeProto[]"],
    name: [2, "string"],
    initializer: [5, "TensorProto[]"],
    docString: [10, "string"],
    input: [11, "ValueInfoProto[]"],
    output: [12, "ValueInfoProto[]"],
    valueInfo: [13, "ValueInfoProto[]"],
    quantizationAnnotation: [14, "TensorAnnotation[]"],
    sparseInitializer: [15, "SparseTensorProto[]"],
    metadataProps: [16, "StringStringEntryProto[]"],
  },
  NodeProto: {
    /** Value names in the operator's order; "" stands for an optional input that is left out. */
    input: [1, "string[]"],
    output: [2, "string[]"],
    name: [3, "string"],
    opType: [4, "string"],
    attribute: [5, "AttributeProto[]"],
    docString: [6, "string"],
    domain: [7, "string"],
    overload: [8, "string"],
    metadataProps: [9, "StringStringEntryProto[]"],
    deviceConfigurations: [10, "NodeDeviceConfigurationProto[]"],
  },
  NodeDeviceConfigurationProto: {
    configurationId: [1, "string"],
    shardingSpec: [2, "ShardingSpecProto[]"],
    pipelineStage: [3, "int32"],
  },
  ShardingSpecProto: {
    tensorName: [1, "string"],
    device: [2, "int64[]"],
    indexToDeviceGroupMap: [3, "IntIntListEntryProto[]"],
    shardedDim: [4, "ShardedDimProto[]"],
  },
  IntIntListEntryProto: { key: [1, "int64"], value: [2, "int64[]"] },
  ShardedDimProto: { axis: [1, "int64"], simpleSharding: [2, "SimpleShardedDimProto[]"] },
  SimpleShardedDimProto: {
    dimValue: [1, "int64", "dim"],
    dimParam: [2, "string", "dim"],
    numShards: [3, "int64"],
  },
  AttributeProto: {
    name: [1, "string"],
    f: [2, "float"],
    i: [3, "int64"],
    /** Text by convention, but any bytes are allowed. */
    s: [4, "bytes"],
    t: [5, "TensorProto"],
    g: [6, "GraphProto"],
    floats: [7, "float[]"],
    ints: [8, "int64[]"],
    strings: [9, "bytes[]"],
    tensors: [10, "TensorProto[]"],
    graphs: [11, "GraphProto[]"],
    docString: [13, "string"],
    tp: [14, "TypeProto"],
    typeProtos: [15, "TypeProto[]"],
    /** One of `attributeTypes`: which of the other fields holds the value. */
    type: [20, "int32"],
    refAttrName: [21, "string"],
    sparseTensor: [22, "SparseTensorProto"],
    sparseTensors: [23, "SparseTensorProto[]"],
  },
  TensorProto: {
    dims: [1, "int64[]"],
    /** One of `dataTypes` in dtypes.ts. */
    dataType: [2, "int32"],
    segment: [3, "TensorProto.Segment"],
    floatData: [4, "float[packed]"],
    int32Data: [5, "int32[packed]"],
    stringData: [6, "bytes[]"],
    int64Data: [7, "int64[packed]"],
    name: [8, "string"],
    /** Little-endian, row-major elements. Decoded, it is a view of the input. */
    rawData: [9, "bytes"],
    doubleData: [10, "double[packed]"],
    uint64Data: [11, "uint64[packed]"],
    docString: [12, "string"],
    /** Keys `location` (required), `offset`, `length`, `checksum`, when dataLocation is external. */
    externalData: [13, "StringStringEntryProto[]"],
    /** One of `dataLocations`. */
    dataLocation: [14, "int32"],
    metadataProps: [16, "StringStringEntryProto[]"],
  },
  "TensorProto.Segment": { begin: [1, "int64"], end: [2, "int64"] },
  SparseTensorProto: { values: [1, "TensorProto"], indices: [2, "TensorProto"], dims: [3, "int64[]"] },
  TensorAnnotation: { tensorName: [1, "string"], quantParameterTensorNames: [2, "StringStringEntryProto[]"] },
  ValueInfoProto: {
    name: [1, "string"],
    type: [2, "TypeProto"],
    docString: [3, "string"],
    metadataProps: [4, "StringStringEntryProto[]"],
  },
  TypeProto: {
    tensorType: [1, "TypeProto.Tensor", "value"],
    sequenceType: [4, "TypeProto.Sequence", "value"],
    mapType: [5, "TypeProto.Map", "value"],
    denotation: [6, "string"],
    opaqueType: [7, "TypeProto.Opaque", "value"],
    sparseTensorType: [8, "TypeProto.SparseTensor", "value"],
    optionalType: [9, "TypeProto.Optional", "value"],
  },
  "TypeProto.Tensor": { elemType: [1, "int32"], shape: [2, "TensorShapeProto"] },
  "TypeProto.Sequence": { elemType: [1, "TypeProto"] },
  "TypeProto.Map": { keyType: [1, "int32"], valueType: [2, "TypeProto"] },
  "TypeProto.Optional": { elemType: [1, "TypeProto"] },
  "TypeProto.SparseTensor": { elemType: [1, "int32"], shape: [2, "TensorShapeProto"] },
  "TypeProto.Opaque": { domain: [1, "string"], name: [2, "string"] },
  TensorShapeProto: { dim: [1, "TensorShapeProto.Dimension[]"] },
  "TensorShapeProto.Dimension": {
    dimValue: [1, "int64", "value"],
    dimParam: [2, "string", "value"],
    denotation: [3, "string"],
  },
} as const satisfies { readonly [M in MessageName]: { readonly [field: string]: Entry } };

/** AttributeProto.AttributeType: values of `AttributeProto.type`. */
export const attributeTypes = {
  undefined: 0,
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparseTensor: 11,
  sparseTensors: 12,
  typeProto: 13,
  typeProtos: 14,
} as const;

/** TensorProto.DataLocation: values of `TensorProto.dataLocation`. */
export const dataLocations = { default: 0, external: 1 } as const;
