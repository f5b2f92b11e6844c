import numpy as np
from poker_env.games import *
from poker_env.players.llm import load_llm_player
from poker_env.players import make_player
from poker_env.table import play
def test(tiny_model_dir):
    g=make_game("kuhn")
    p=load_llm_player(str(tiny_model_dir),g)
    text="Hello A1 A10 Ké\n(x)"
    ids=p.tokenizer.encode(text); print(ids, p.tokenizer.decode(ids))
    m=[{"role":"user","content":"hi A1"}]
    print(p.encode(m), repr(p.tokenizer.decode(p.encode(m))), p._eos_ids, p.tokenizer.pad_token_id, len(p.tokenizer), p.model.num_parameters())
    for name in ("kuhn","holdem"):
        g=make_game(name)
        p=load_llm_player(str(tiny_model_dir),g)
        import time; t=time.time()
        hands=play(g, make_deals(g,100,0), p, make_player("random",g))
        ds=[d for h in hands for d in h.hero_decisions]
        print(time.time()-t, np.mean([d.legal for d in ds]), np.mean([len(d.answer.prompt_ids) for d in ds]), [d.answer.completion for d in ds][:12])
