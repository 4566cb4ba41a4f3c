def pytest_addoption(parser):
    parser.addoption(
        "--real",
        action="store_true",
        help="benchmarks at their real sizes (with --benchmark-enable); tiny otherwise",
    )
