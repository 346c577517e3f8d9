"""The package; a Dataflow job takes this file as its --setup_file."""

from pathlib import Path

from setuptools import find_packages, setup

BEAM = ">=2.77,<2.78"
# Only these platforms have wheels for the BigQuery emulator; elsewhere its tests are skipped.
EMULATED = "python_version >= '3.11' and sys_platform == 'linux' and platform_machine == 'x86_64'"
README = Path(__file__).with_name("README.md")

setup(
    name="messaging-session-metrics",
    version="0.1.0",
    description=(
        "Salesforce's six MessagingSessionMetrics records per messaging session, computed from the "
        "conversation log with Apache Beam"
    ),
    long_description=README.read_text("utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
    ],
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["pipelines*", "transforms*", "schemas*"]),
    package_data={
        "pipelines": ["beam_options.txt", "py.typed"],
        "schemas": ["*.avsc", "*.json", "py.typed"],
        "transforms": ["py.typed"],
        "transforms.reporting": ["*.css", "*.html"],
    },
    entry_points={
        "console_scripts": [
            "session-metrics = pipelines.session_metrics:run",
            "session-calibration = pipelines.calibration:run",
            "session-report = pipelines.report:run",
            "session-metrics-worker = pipelines.jobs.worker:run",
        ]
    },
    install_requires=[
        f"apache-beam{BEAM}",
        "fastavro>=1.12,<2",
        "isal>=1.8,<2",
        "jinja2>=3.1,<4",
        "numpy>=2.1,<2.5",
        "polars>=2,<3",
        "pyarrow>=24,<26",
        "rich>=13,<16",
        "vl-convert-python>=1.9,<2",
        "xxhash>=3.5,<5",
    ],
    extras_require={
        "bench": [
            "duckdb==2.0.*",
            "matplotlib>=3.10,<3.11",
        ],
        "browser": [
            "pytest>=9,<10",
            "selenium>=4.40,<5",
        ],
        "gcp": [
            f"apache-beam[gcp]{BEAM}",
            # These two build the workers' package of --setup_file.
            "build>=1.3,<2",
            "setuptools>=77",
        ],
        "test": [
            f"apache-beam[gcp]{BEAM}",
            "build>=1.3,<2",
            # An emulator of BigQuery, with the last DuckDB whose extensions pip can install.
            f"bqemulator==1.4.0; {EMULATED}",
            f"duckdb==1.5.5; {EMULATED}",
            f"duckdb-extension-avro==1.5.5; {EMULATED}",
            f"duckdb-extension-spatial==1.5.5; {EMULATED}",
            "gcp-storage-emulator==2026.7.*",
            "hypothesis>=6.130,<7",
            "mypy>=2.4,<2.5",
            "pytest>=9,<10",
            "pytest-xdist>=3.6,<4",
            "ruff>=0.17,<0.18",
            "setuptools>=77",
        ],
    },
)
