"""pyvene's side of the benchmark: the work of bench/worker.ts through the real pyvene on torch, float32, two threads.

python pyvene_worker.py MODEL_FOLDER   (one JSON request a line on stdin, one JSON answer a line on stdout)
"""
import json, math, os, resource, sys, time, warnings, logging

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
import torch, transformers, pyvene

transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(os.cpu_count() or 1)
started = time.perf_counter()
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
config = model.config
path = "transformer.h[{}].attn.c_proj.output" if config.model_type == "gpt2" else "model.layers[{}].self_attn.o_proj.output"
vector = lambda layer: torch.tensor([0.01 * math.sin(i + layer) for i in range(config.hidden_size)])
steered = pyvene.IntervenableModel(pyvene.IntervenableConfig([
    pyvene.RepresentationConfig(component=path.format(layer), intervention_type=pyvene.AdditionIntervention, source_representation=vector(layer))
    for layer in range(config.num_hidden_layers)]), model)
patched = [config.num_hidden_layers // 3, 2 * config.num_hidden_layers // 3]
patches = pyvene.IntervenableModel(pyvene.IntervenableConfig([
    pyvene.RepresentationConfig(layer=layer, component="block_output", intervention_type=pyvene.VanillaIntervention)
    for layer in patched]), model)
ready_ms = (time.perf_counter() - started) * 1000


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prompt_of(length, seed=13):
    return torch.tensor([[(i * 7919 + seed) % config.vocab_size for i in range(length)]])


def forward(length):
    begin = time.perf_counter()
    with torch.no_grad():
        patches(dict(input_ids=prompt_of(length)), [dict(input_ids=prompt_of(length, seed)) for seed in (14, 15)],
                {"sources->base": (3, 3)}, output_original_output=True)
    return (time.perf_counter() - begin) * 1000


def measure(request):
    if request["work"] == "forward":
        return dict(promptMs=0, decodeTokensPerSecond=0, forwardMs=forward(request["promptTokens"]), readyMs=ready_ms, peakRssMb=peak_mb())
    ids = prompt_of(request["promptTokens"])
    inputs = dict(input_ids=ids, attention_mask=torch.ones_like(ids))

    def run(new_tokens):
        options = dict(max_new_tokens=new_tokens, min_new_tokens=new_tokens, do_sample=False, pad_token_id=0)
        begin = time.perf_counter()
        with torch.no_grad():
            steered.generate(inputs, **options) if request["steer"] else model.generate(**inputs, **options)
        return time.perf_counter() - begin

    prompt = run(1)
    count = request["newTokens"]
    decode = run(count) - prompt if count > 1 else math.nan
    return dict(promptMs=prompt * 1000, decodeTokensPerSecond=(count - 1) / decode if count > 1 else 0, readyMs=ready_ms,
                forwardMs=0, peakRssMb=peak_mb())


print("{}", flush=True)
for line in sys.stdin:
    print(json.dumps(measure(json.loads(line))), flush=True)
