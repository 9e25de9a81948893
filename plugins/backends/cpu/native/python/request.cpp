// A whole request in one call from Python: reads the arrays where they lie, makes the results' arrays, runs the
// program. What it cannot take in place it leaves alone, by answering None; the runtime then goes the long way.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "mm_cpu.h"

namespace {

using Run = int64_t (*)(const mm_program*, void*, const void* const*, void* const*, int32_t, int64_t*);

class Reference {
 public:
  Reference() = default;
  explicit Reference(PyObject* object) : object_(object) { Py_XINCREF(object); }
  Reference(Reference&& other) noexcept : object_(other.object_) { other.object_ = nullptr; }
  Reference& operator=(Reference&&) = delete;
  ~Reference() { Py_XDECREF(object_); }
  PyObject* get() const { return object_; }

 private:
  PyObject* object_ = nullptr;
};

// An array that the request must bring: dense, of this element format (as the buffer protocol writes it) and shape.
struct Input {
  Reference name;
  std::string format;
  std::vector<Py_ssize_t> shape;
  Py_ssize_t position;  // among the program's inputs; -1 if the program does not read it
};

// An array to make by calling `factory(*arguments)`.
struct Output {
  Reference name, factory, arguments;
  Py_ssize_t position;
};

struct State {
  Run run;
  const mm_program* program;
  void* arena;
  int32_t threads;
  Reference owner;  // keeps program and arena alive
  std::vector<Input> inputs;
  std::vector<Output> outputs;
  std::vector<Py_buffer> held;
  std::vector<const void*> read;
  std::vector<void*> written;
};

struct Request {
  PyObject_HEAD
  State* state;
};

bool fits(const Input& input, const Py_buffer& view) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(view.buf);
  return view.ndim == static_cast<int>(input.shape.size()) && view.format != nullptr && input.format == view.format &&
         std::memcmp(view.shape, input.shape.data(), input.shape.size() * sizeof(Py_ssize_t)) == 0 &&
         address % static_cast<uintptr_t>(view.itemsize) == 0;
}

// Takes the arrays of a request; false if one of them is not what the program reads in place.
bool take(State& state, PyObject* inputs) {
  if (!PyDict_CheckExact(inputs) || PyDict_Size(inputs) != static_cast<Py_ssize_t>(state.inputs.size())) return false;
  for (const Input& input : state.inputs) {
    PyObject* value = PyDict_GetItemWithError(inputs, input.name.get());
    if (value == nullptr) return false;
    Py_buffer view;
    if (PyObject_GetBuffer(value, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) return false;
    state.held.push_back(view);
    if (!fits(input, view)) return false;
    if (input.position >= 0) state.read[static_cast<size_t>(input.position)] = view.buf;
  }
  return true;
}

// A dictionary of new arrays for the results; null with an exception set if there is no memory.
PyObject* make_outputs(State& state) {
  PyObject* results = PyDict_New();
  for (const Output& output : state.outputs) {
    if (results == nullptr) return nullptr;
    PyObject* array = PyObject_Call(output.factory.get(), output.arguments.get(), nullptr);
    Py_buffer view;
    if (array == nullptr || PyDict_SetItem(results, output.name.get(), array) != 0 ||
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) != 0) {
      Py_XDECREF(array);
      Py_DECREF(results);
      return nullptr;
    }
    state.held.push_back(view);
    state.written[static_cast<size_t>(output.position)] = view.buf;
    Py_DECREF(array);
  }
  return results;
}

// The results by name, None if the long way must be gone, or the executor's status if it failed.
PyObject* request_run(PyObject* self, PyObject* inputs) {
  State& state = *reinterpret_cast<Request*>(self)->state;
  PyObject* results = nullptr;
  if (take(state, inputs)) {
    results = make_outputs(state);
    if (results != nullptr) {
      int64_t status = 0;
      Py_BEGIN_ALLOW_THREADS;
      status = state.run(state.program, state.arena, state.read.data(), state.written.data(), state.threads, nullptr);
      Py_END_ALLOW_THREADS;
      if (status != MM_OK) {
        Py_DECREF(results);
        results = PyLong_FromLongLong(status);
      }
    }
  } else {
    PyErr_Clear();
    results = Py_None;
    Py_INCREF(results);
  }
  for (Py_buffer& view : state.held) PyBuffer_Release(&view);
  state.held.clear();
  return results;
}

bool read_inputs(State& state, PyObject* items) {
  for (Py_ssize_t i = 0; i < PyTuple_Size(items); ++i) {
    PyObject *name = nullptr, *shape = nullptr;
    const char* format = nullptr;
    Input input;
    if (!PyArg_ParseTuple(PyTuple_GetItem(items, i), "UsO!n", &name, &format, &PyTuple_Type, &shape, &input.position))
      return false;
    for (Py_ssize_t axis = 0; axis < PyTuple_Size(shape); ++axis)
      input.shape.push_back(PyLong_AsSsize_t(PyTuple_GetItem(shape, axis)));
    if (PyErr_Occurred() != nullptr) return false;
    const size_t needed = static_cast<size_t>(input.position + 1);
    if (state.read.size() < needed) state.read.resize(needed);
    state.inputs.push_back({Reference(name), format, std::move(input.shape), input.position});
  }
  return true;
}

bool read_outputs(State& state, PyObject* items) {
  for (Py_ssize_t i = 0; i < PyTuple_Size(items); ++i) {
    PyObject *name = nullptr, *factory = nullptr, *arguments = nullptr;
    Py_ssize_t position = 0;
    if (!PyArg_ParseTuple(PyTuple_GetItem(items, i), "UOO!n", &name, &factory, &PyTuple_Type, &arguments, &position))
      return false;
    const size_t needed = static_cast<size_t>(position + 1);
    if (state.written.size() < needed) state.written.resize(needed);
    state.outputs.push_back({Reference(name), Reference(factory), Reference(arguments), position});
  }
  return true;
}

int request_init(PyObject* self, PyObject* arguments, PyObject*) {
  unsigned long long run = 0, program = 0, arena = 0;
  int threads = 0;
  PyObject *owner = nullptr, *inputs = nullptr, *outputs = nullptr;
  if (!PyArg_ParseTuple(arguments, "KKKiOO!O!", &run, &program, &arena, &threads, &owner, &PyTuple_Type, &inputs,
                        &PyTuple_Type, &outputs))
    return -1;
  State*& state = reinterpret_cast<Request*>(self)->state;
  if (state != nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "a request is made once");
    return -1;
  }
  try {
    state = new State{reinterpret_cast<Run>(run), reinterpret_cast<const mm_program*>(program),
                      reinterpret_cast<void*>(arena), threads, Reference(owner), {}, {}, {}, {}, {}};
    if (!read_inputs(*state, inputs) || !read_outputs(*state, outputs)) return -1;
    state->held.reserve(state->inputs.size() + state->outputs.size());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
    return -1;
  }
  return 0;
}

void request_free(PyObject* self) {
  delete reinterpret_cast<Request*>(self)->state;
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"run", request_run, METH_O, "Results by name, None, or a failed executor's status. One thread at a time."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot slots[] = {
    {Py_tp_init, reinterpret_cast<void*>(request_init)},
    {Py_tp_dealloc, reinterpret_cast<void*>(request_free)},
    {Py_tp_methods, methods},
    {Py_tp_doc, const_cast<char*>("Request(run, program, arena, threads, owner, inputs, outputs)")},
    {0, nullptr},
};

PyType_Spec spec = {"mm_backend_cpu._request.Request", sizeof(Request), 0, Py_TPFLAGS_DEFAULT, slots};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "_request", "Requests in one call.", -1, nullptr, nullptr,
                      nullptr,               nullptr,    nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__request(void) {
  PyObject* made = PyModule_Create(&module);
  PyObject* type = made == nullptr ? nullptr : PyType_FromSpec(&spec);
  if (type == nullptr || PyModule_AddObject(made, "Request", type) != 0) {
    Py_XDECREF(type);
    Py_XDECREF(made);
    return nullptr;
  }
  return made;
}
