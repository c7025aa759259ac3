# The page in a container; the same steps as `make app`.
#   docker build -t xrayinterp .
#   docker run --rm -p 8501:8501 xrayinterp
# A smaller image without CUDA: --build-arg TORCH_INDEX=<address of a package index with CPU builds of torch>.
FROM python:3.11-slim

ARG TORCH_INDEX=""

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XRAYINTERP_CACHE=/home/reader/cache

RUN useradd --create-home --uid 1000 reader
WORKDIR /home/reader/app

# Dependencies first: they change less often than the code.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY data_manifests ./data_manifests
COPY xrayinterp/__init__.py ./xrayinterp/
RUN pip install --no-cache-dir --disable-pip-version-check \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt -e .

COPY xrayinterp ./xrayinterp
COPY static ./static
COPY .streamlit ./.streamlit
COPY app.py ./
RUN mkdir -p "$XRAYINTERP_CACHE" && chown reader:reader "$XRAYINTERP_CACHE"

USER reader
EXPOSE 8501
VOLUME ["/home/reader/cache"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://localhost:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.port", "8501", "--server.headless", "true"]
