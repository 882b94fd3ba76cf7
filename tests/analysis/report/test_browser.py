"""The page in a browser without a window."""

import shutil

import pytest
from mmengine.registry import DefaultScope

from skd_mm.analysis.report import Settings, write_report

webdriver = pytest.importorskip('selenium.webdriver', reason='needs selenium (requirements/tests.txt)')
FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage',
         '--disable-component-update', '--disable-sync', '--window-size=1200,900')


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    programs = [shutil.which(name) for name in ('chromium', 'chromedriver')]
    if None in programs:
        pytest.skip('needs Chromium and its driver (on Debian: apt install chromium chromium-driver)')
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*FLAGS, f'--user-data-dir={tmp_path_factory.mktemp("profile")}'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', dict(browser='ALL'))
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, runs, tmp_path):
    file = write_report([str(runs)], tmp_path, Settings(compute=False, gallery=3))
    DefaultScope._instance_dict.clear()
    browser.get(file.as_uri())
    return browser


@pytest.mark.slow
def test_the_page_opens_without_errors_and_its_gallery_works(page):
    assert page.get_log('browser') == []
    assert page.execute_script('return [...document.images].every(image => image.complete && image.naturalWidth > 0'
                               ' || !image.getAttribute("src"))')

    def find(selector):
        return page.find_element('css selector', selector)

    title = find('.gallery .title').text
    assert title.startswith('1 of 3: ')
    find('.gallery .next').click()
    assert find('.gallery .title').text.startswith('2 of 3: ')
    assert page.find_elements('css selector', '.thumbs img')[1].get_attribute('class') == 'on'
    find('.gallery .previous').click()
    find('.gallery .previous').click()
    assert find('.gallery .title').text.startswith('3 of 3: ')

    left, right = page.find_elements('css selector', '.stage .layer')
    assert left.value_of_css_property('clip-path') == 'inset(0px 50% 0px 0px)'
    page.execute_script('const wipe = document.querySelector(".wipe"); wipe.value = 20;'
                        'wipe.dispatchEvent(new Event("input"))')
    assert left.value_of_css_property('clip-path') == 'inset(0px 80% 0px 0px)'
    assert right.value_of_css_property('clip-path') == 'inset(0px 0px 0px 20%)'

    before = right.get_attribute('src')
    chosen, = (option for option in page.find_elements('css selector', '.viewer select:nth-of-type(1) option')
               if option.get_attribute('value') == 'errors:baseline'
               and 'right' in option.find_element('xpath', '../..').text.split('\n')[0])
    chosen.click()
    assert right.get_attribute('src') != before and right.is_displayed()
    order, *_ = page.find_elements('css selector', '.gallery .bar select')
    order.find_element('css selector', 'option[value=name]').click()
    names = [thumb.get_attribute('title') for thumb in page.find_elements('css selector', '.thumbs img')]
    assert names == sorted(names) and find('.gallery .title').text.startswith('1 of 3: ')
    assert page.get_log('browser') == []
