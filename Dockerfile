# The demo on CPUs, from nothing to the table:
#
#   docker build -t hashbench .          # installs, then runs `make demo`
#   docker run hashbench                 # prints the table again
#   docker run -it hashbench bash        # the command is `hashbench`
FROM python:3.11-slim

# Wheels of torch without CUDA; another index of PyTorch, such as .../whl/cu126, brings it.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_EXTRA_INDEX_URL=${TORCH_INDEX} PIP_NO_CACHE_DIR=1

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home hashbench
USER hashbench
WORKDIR /home/hashbench
ENV PATH=/home/hashbench/.venv/bin:${PATH}
CMD ["hashbench", "report", "results"]

COPY --chown=hashbench Makefile pyproject.toml setup.py README.md LICENSE ./
COPY --chown=hashbench src/ src/
COPY --chown=hashbench attacks/ attacks/
COPY --chown=hashbench benchmarks/ benchmarks/
COPY --chown=hashbench defenses/ defenses/
COPY --chown=hashbench reports/ reports/
COPY --chown=hashbench hashbench/ hashbench/
RUN make demo
