"""One small trained model, as `hashbench model export` wrote it: what `hashbench doctor` attacks.

Holds no code. It is `cgat` of the quick suite (`fashion`, `csq`, `small-cnn`, 32 bits, seed 0),
trained by hashbench itself on a part of Fashion-MNIST (MIT), and handed on under MIT as well. Its
training drew from torch's generator, as hashbench did until random numbers were counted
(`hashbench.hashing.CounterRandom`). Made again, up to what other random numbers, another processor
or another torch make of a training, by

    hashbench run --defense cgat --attack none --out FOLDER
    hashbench model export FOLDER --defense cgat --seed 0 --licence MIT --to NEW

Who replaces these files measures anew what `hashbench.zoo.stated` says of them.
"""
