/* Classifies one raw image with a LiteRT file that keras_sknet.export_tflite wrote, from C alone.
 *
 *   classify MODEL.tflite IMAGE
 *
 * IMAGE holds the bytes of the pixels, height × width × RGB, 0-255, without a header, of the size that the
 * model takes. Printed is one score a line, in the order of labels.txt (unzip -p MODEL.tflite labels.txt).
 * The model's input may be float32, uint8 or int8; its output is float32. README.md says how to compile it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* What is needed of LiteRT's C functions (litert/c/ in its sources, where the headers are), as of 2.3. */
typedef struct Environment *Environment;
typedef struct Model *Model;
typedef struct Options *Options;
typedef struct CompiledModel *CompiledModel;
typedef struct Signature *Signature;
typedef struct Tensor *Tensor;
typedef struct Requirements *Requirements;
typedef struct Buffer *Buffer;

typedef struct {
  unsigned int rank : 7;
  unsigned int has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
} Layout;

typedef struct {
  int element_type;
  Layout layout;
} TensorType;

enum { FLOAT32 = 1, UINT8 = 3, INT8 = 9 }; /* element_type */
enum { READ = 0, WRITE = 1 };              /* how a buffer is locked */
enum { CPU = 1 };                          /* accelerators, one bit each */

int LiteRtCreateEnvironment(int options, const void *values, Environment *);
void LiteRtDestroyEnvironment(Environment);
int LiteRtCreateModelFromFile(Environment, const char *path, Model *);
void LiteRtDestroyModel(Model);
int LiteRtGetModelSignature(Model, size_t index, Signature *);
int LiteRtGetSignatureInputTensorByIndex(Signature, size_t index, Tensor *);
int LiteRtGetSignatureOutputTensorByIndex(Signature, size_t index, Tensor *);
int LiteRtGetRankedTensorType(Tensor, TensorType *);
int LiteRtCreateOptions(Options *);
int LiteRtSetOptionsHardwareAccelerators(Options, int accelerators);
void LiteRtDestroyOptions(Options);
int LiteRtCreateCompiledModel(Environment, Model, Options, CompiledModel *);
void LiteRtDestroyCompiledModel(CompiledModel);
int LiteRtGetCompiledModelInputBufferRequirements(CompiledModel, size_t signature, size_t index, Requirements *);
int LiteRtGetCompiledModelOutputBufferRequirements(CompiledModel, size_t signature, size_t index, Requirements *);
int LiteRtCreateManagedTensorBufferFromRequirements(Environment, const TensorType *, Requirements, Buffer *);
int LiteRtLockTensorBuffer(Buffer, void **address, int mode);
int LiteRtUnlockTensorBuffer(Buffer);
void LiteRtDestroyTensorBuffer(Buffer);
int LiteRtRunCompiledModel(CompiledModel, size_t signature, size_t inputs, Buffer *, size_t outputs, Buffer *);

static void fail(const char *what, const char *which) {
  fprintf(stderr, "classify: %s: %s\n", what, which);
  exit(1);
}

/* Every function of LiteRT returns 0 when all is well. */
static void check(int status, const char *what) {
  if (status) {
    fprintf(stderr, "classify: %s failed: LiteRT's status is %d\n", what, status);
    exit(1);
  }
}

static size_t elements(const TensorType *type) {
  size_t count = 1;
  for (unsigned i = 0; i < type->layout.rank; i++) count *= (size_t)type->layout.dimensions[i];
  return count;
}

static unsigned char *read_pixels(const char *path, size_t count) {
  unsigned char *pixels = malloc(count);
  FILE *file = fopen(path, "rb");
  if (!pixels || !file) fail("cannot be read", path);
  if (fread(pixels, 1, count, file) != count || fgetc(file) != EOF) {
    fprintf(stderr, "classify: %s must hold %zu bytes, the model's height * width * 3\n", path, count);
    exit(1);
  }
  fclose(file);
  return pixels;
}

/* A uint8 input is the pixels themselves; an int8 one lies 128 lower. */
static void fill(void *input, int element_type, const unsigned char *pixels, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (element_type == FLOAT32) ((float *)input)[i] = pixels[i];
    else if (element_type == UINT8) ((uint8_t *)input)[i] = pixels[i];
    else ((int8_t *)input)[i] = (int8_t)(pixels[i] - 128);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) fail("usage", "classify MODEL.tflite IMAGE");

  Environment environment;
  Model model;
  Options options;
  CompiledModel compiled;
  check(LiteRtCreateEnvironment(0, NULL, &environment), "starting LiteRT");
  if (LiteRtCreateModelFromFile(environment, argv[1], &model)) fail("is no LiteRT file", argv[1]);
  check(LiteRtCreateOptions(&options), "making options");
  check(LiteRtSetOptionsHardwareAccelerators(options, CPU), "choosing the CPU");
  check(LiteRtCreateCompiledModel(environment, model, options, &compiled), "compiling the model");

  /* Signature 0 is the only one, with one input and one output. */
  Signature signature;
  Tensor tensor;
  TensorType input_type, output_type;
  check(LiteRtGetModelSignature(model, 0, &signature), "finding the signature");
  check(LiteRtGetSignatureInputTensorByIndex(signature, 0, &tensor), "finding the input");
  check(LiteRtGetRankedTensorType(tensor, &input_type), "reading the input's shape");
  check(LiteRtGetSignatureOutputTensorByIndex(signature, 0, &tensor), "finding the output");
  check(LiteRtGetRankedTensorType(tensor, &output_type), "reading the output's shape");
  int type = input_type.element_type;
  if (type != FLOAT32 && type != UINT8 && type != INT8) fail("takes neither floats nor bytes", argv[1]);
  if (output_type.element_type != FLOAT32) fail("must be exported with output_dtype=\"float32\"", argv[1]);

  Requirements requirements;
  Buffer input, output;
  check(LiteRtGetCompiledModelInputBufferRequirements(compiled, 0, 0, &requirements), "sizing the input");
  check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &input_type, requirements, &input),
        "making the input");
  check(LiteRtGetCompiledModelOutputBufferRequirements(compiled, 0, 0, &requirements), "sizing the output");
  check(LiteRtCreateManagedTensorBufferFromRequirements(environment, &output_type, requirements, &output),
        "making the output");

  void *address;
  unsigned char *pixels = read_pixels(argv[2], elements(&input_type));
  check(LiteRtLockTensorBuffer(input, &address, WRITE), "locking the input");
  fill(address, type, pixels, elements(&input_type));
  check(LiteRtUnlockTensorBuffer(input), "unlocking the input");
  free(pixels);

  check(LiteRtRunCompiledModel(compiled, 0, 1, &input, 1, &output), "running the model");

  check(LiteRtLockTensorBuffer(output, &address, READ), "locking the output");
  for (size_t i = 0; i < elements(&output_type); i++) printf("%.9g\n", ((float *)address)[i]);
  check(LiteRtUnlockTensorBuffer(output), "unlocking the output");

  LiteRtDestroyTensorBuffer(output);
  LiteRtDestroyTensorBuffer(input);
  LiteRtDestroyCompiledModel(compiled);
  LiteRtDestroyOptions(options);
  LiteRtDestroyModel(model);
  LiteRtDestroyEnvironment(environment);
  return 0;
}
