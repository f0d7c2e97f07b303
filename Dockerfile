# tfcompress as a command that works on the folder mounted at /work:
#   docker build -t tfcompress .
#   docker run --rm -v "$PWD:/work" tfcompress export model.keras --quantize int8 --data data.npz
FROM python:3.12.11-slim-bookworm

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    HOME=/home/tfcompress

COPY setup.py setup.cfg README.md LICENSE /src/
COPY tfcompress /src/tfcompress
COPY edge_runner /src/edge_runner
RUN pip install /src && rm -rf /src

# Who runs it with --user gives files the owner they want; the home is open to any of them, for caches.
RUN useradd --create-home --uid 1000 tfcompress && chmod 0777 /home/tfcompress
USER tfcompress
WORKDIR /work

ENTRYPOINT ["tfcompress"]
CMD ["--help"]
